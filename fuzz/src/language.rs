//! The two forms of the language.

use dlc_dsl::diagnostic::has_errors;
use dlc_dsl::{SourceId, format, parse, parse_ron, to_dl, to_ron};

const SOURCE: SourceId = SourceId(0);

pub fn dl(input: &[u8]) -> bool {
    let text = String::from_utf8_lossy(input);
    let (file, diagnostics) = parse(SOURCE, &text);
    if has_errors(&diagnostics) {
        return false;
    }
    let formatted = format(SOURCE, &text).expect("what parses can be formatted");
    let (again, diagnostics) = parse(SOURCE, &formatted);
    assert!(!has_errors(&diagnostics), "formatting broke the text:\n{formatted}");
    assert!(again.same(&file), "formatting changed the tree:\n{formatted}");
    assert_eq!(format(SOURCE, &formatted).expect("it parses"), formatted, "formatting twice differs");
    true
}

pub fn ron(input: &[u8]) -> bool {
    let text = String::from_utf8_lossy(input);
    let (file, diagnostics) = parse_ron(SOURCE, &text);
    if has_errors(&diagnostics) {
        return false;
    }
    let ron = to_ron(&file);
    let (again, diagnostics) = parse_ron(SOURCE, &ron);
    assert!(!has_errors(&diagnostics), "what is printed does not parse:\n{ron}");
    assert!(again.same(&file), "printing changed the tree:\n{ron}");
    let dl = to_dl(&file);
    let (again, diagnostics) = parse(SOURCE, &dl);
    assert!(!has_errors(&diagnostics), "what is printed does not parse:\n{dl}");
    assert!(again.same(&file), "printing changed the tree:\n{dl}");
    true
}
