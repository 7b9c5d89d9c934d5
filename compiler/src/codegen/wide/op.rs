//! The instructions of the machine, as a table.
