//! OPS.md is what the operator table says.

use std::path::Path;

use dlc_ir::Op;

#[test]
fn ops_md_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("OPS.md");
    // The compiler's rewrites follow; its own tests check those.
    let rewrites = |text: &str| text.find("\n## Rewrites\n").unwrap_or(text.len());
    let made = dlc_ir::ops_markdown();
    if std::env::var_os("DLC_BLESS").is_some() {
        let old = std::fs::read_to_string(&path).expect("OPS.md can be read");
        let all = format!("{made}{}", &old[rewrites(&old)..]);
        std::fs::write(&path, all).expect("OPS.md can be written");
    }
    let kept = std::fs::read_to_string(&path).expect("OPS.md can be read");
    let kept = &kept[..rewrites(&kept)];
    let difference = kept.lines().zip(made.lines()).enumerate().find(|(_, (a, b))| a != b);
    assert!(kept == made, "OPS.md differs from the table, first at {difference:?}; DLC_BLESS=1 writes it anew");
}

#[test]
fn every_attribute_is_documented() {
    for (mnemonic, operands, doc, sample) in Op::docs() {
        let written: Vec<&str> = doc.attributes.iter().map(|(name, _)| *name).collect();
        let printed: Vec<&str> = sample.op.attrs().into_iter().map(|(name, _)| name).collect();
        assert_eq!(written, printed, "the attributes of {mnemonic}");
        for text in [doc.meaning, doc.types, doc.gradient] {
            assert!(text.ends_with('.'), "{mnemonic}: {text}");
        }
        assert_eq!(operands, sample.op.operand_names());
    }
}
