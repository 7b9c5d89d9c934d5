//! Tables of tab-separated values with a header line.

use super::csv::Table;
use super::{Contents, Format};

/// TSV files.
pub(super) const FORMAT: Format = Format {
    name: "tsv",
    endings: &[".tsv"],
    read: |path| Table::read_separated(path, b'\t').map(Contents::Columns),
    writer: None,
};

#[cfg(test)]
mod tests {
    use dlc_ir::DType;

    use super::*;
    use crate::data::DataError;

    fn read(text: &str) -> Result<Contents, DataError> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("t.tsv");
        std::fs::write(&path, text).expect("it can be written");
        (FORMAT.read)(&path)
    }

    #[test]
    fn tabs_separate_and_commas_do_not() {
        let Contents::Columns(table) = read("a, b\tc\n 1 \t2\n3\t\"4\"\n").expect("it is a table") else { panic!() };
        assert_eq!(table.columns(), ["a, b", "c"]);
        assert_eq!(table.column("c", DType::F64).expect("numbers").to_f64s(), [2.0, 4.0]);
        assert_eq!(table.column("a, b", DType::F64).expect("numbers").to_f64s(), [1.0, 3.0]);
    }

    #[test]
    fn an_open_quotation_mark_and_a_ragged_line_are_errors() {
        for (text, code) in [("a\tb\n1\t\"2\n3\t4\n", "open-quote"), ("a\tb\n1\n", "ragged-table")] {
            assert_eq!(read(text).expect_err(text).code(), code);
        }
    }
}
