//! What is said of a training: its end, its interruption, and what keeps it from beginning.

use super::{classifier, complaint, dlc};

#[test]
fn going_on_wants_a_checkpoint() {
    let (folder, path) = classifier("1,2,0\n1,2,1\n3,4,2\n5,6,1\n");
    let (file, runs) = (path.to_str().expect("UTF-8"), folder.path().join("r"));
    let resume = ["train", file, "--folder", runs.to_str().expect("UTF-8"), "--resume"];
    let none = |code: &str| {
        let said = complaint(&folder, &resume);
        assert!(said.contains(&format!("error[{code}]: r has no checkpoint to go on from")), "{said}");
        said
    };
    none("missing-file");
    assert!(!runs.exists(), "asking makes no folder");
    std::fs::create_dir(&runs).expect("it can be made");
    none("missing-file");
    assert!(dlc(&resume[..4]).status.success());
    assert!(dlc(&resume).status.success());
    for entry in std::fs::read_dir(&runs).expect("it is there").flatten() {
        if entry.file_name().to_string_lossy().starts_with("step-") {
            std::fs::write(entry.path(), "damaged").expect("it can be written");
        }
    }
    let said = none("wrong-format");
    assert!(said.contains("help: r/step-"), "{said}");
}
