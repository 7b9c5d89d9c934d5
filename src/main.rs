//! The command line of dlc.

fn main() {}
