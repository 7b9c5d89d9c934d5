//! Sources with errors, and the diagnostics they produce.
//!
//! Each file under `errors/` has errors. `// error: [code] "text"` at the end of a line says that an error of this
//! code is on the line, with the text in its message or label; where the line cannot end with a comment,
//! `// error above: …` (or `// warning above: …`) on a line of its own refers to the line before. Several errors of a line follow each
//! other. Every error must be annotated, and the rendered messages are snapshots. Files under `errors/warnings/` compile, and
//! their warnings are annotated in the same way.

use std::path::{Path, PathBuf};

use dlc_dsl::{Diagnostic, Loaded, Loader, Mode, Program, Request, Sources, check, diagnostic};
use dlc_ir::{DType, Type};

/// The annotation of an expected diagnostic.
#[derive(Debug)]
struct Mark {
    line: usize,
    code: String,
    text: String,
}

fn marks(text: &str) -> Vec<Mark> {
    let mut marks = vec![];
    for (i, line) in text.lines().enumerate() {
        let mark = line.split_once("// error: ").or(line.split_once("// warning: "));
        let (line_number, mut rest) =
            match (mark, line.split_once("// error above: ").or(line.split_once("// warning above: "))) {
                (Some((_, rest)), _) => (i + 1, rest),
                (_, Some((_, rest))) => (i, rest),
                _ => continue,
            };
        while let Some((code, after)) = rest.trim_start().strip_prefix('[').and_then(|rest| rest.split_once("] \"")) {
            let (text, after) = after.split_once('"').expect("a mark ends with a quotation mark");
            marks.push(Mark { line: line_number, code: code.to_owned(), text: text.to_owned() });
            rest = after;
        }
        assert!(rest.trim().is_empty(), "line {}: what is `{rest}`?", i + 1);
    }
    marks
}

fn fits(mark: &Mark, error: &Diagnostic, sources: &Sources) -> bool {
    let Some(span) = error.span() else { return false };
    let line = sources.get(span.source).expect("is known").position(span.start).0;
    let label = error.labels.iter().any(|label| label.text.contains(&mark.text));
    line == mark.line && error.code == mark.code && (label || error.message.contains(&mark.text))
}

struct Folder(PathBuf);

impl Loader for Folder {
    fn load(&mut self, _from: &str, path: &str) -> Result<Loaded, String> {
        let text = std::fs::read_to_string(self.0.join(path)).map_err(|_| format!("there is no file `{path}`"))?;
        Ok(Loaded { name: path.to_owned(), text })
    }
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("exists") {
        let path = entry.expect("readable").path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|e| e == "dl" || e == "ron") {
            found.push(path);
        }
    }
}

/// Fixes that, when applied, do not reduce the number of errors.
fn unhelpful_fixes(name: &str, text: &str, errors: &[Diagnostic]) -> String {
    let mut wrong = String::new();
    for error in errors {
        for fix in &error.fixes {
            let mut fixed = text.to_owned();
            fixed.replace_range(fix.span.range(), &fix.text);
            let mut sources = Sources::new();
            let source = sources.add(name, fixed.clone());
            let (_, left) = dlc_dsl::parse_named(source, name, &fixed);
            let (_, before) = dlc_dsl::parse_named(source, name, text);
            if left.len() >= before.len() && !before.is_empty() {
                wrong += &format!("{name}: the fix `{}` does not help: {error}\n", fix.text);
            }
        }
    }
    wrong
}

/// `u8[4]`.
fn data_type(text: &str) -> Type {
    let (dtype, shape) = text.trim_end_matches(']').split_once('[').expect("a type");
    let shape: Vec<usize> = shape.split(',').filter_map(|n| n.parse().ok()).collect();
    Type::new(dtype.parse().expect("a dtype"), shape)
}

/// The diagnostics of lowering every model and dataset of a file. A line `// sizes: B=4 T=3` gives dimensions, `// assumed: B=4` assumes them,
/// `// fields: label=u8[4]` gives the types of data, and `// reads: 1=u8[4]` those of what a dataset reads, in order; `// lower: infer`
/// leaves initial values out.
fn lowered(name: &str, text: &str, folder: &mut Folder) -> Vec<Diagnostic> {
    let words = |start: &str| {
        let line = text.lines().find_map(|line| line.split_once(start)).map_or("", |(_, rest)| rest);
        line.split_whitespace().filter_map(|word| word.split_once('=')).collect::<Vec<_>>()
    };
    let program = Program::load(name, text, folder).expect("was fine just now");
    let mut errors = vec![];
    let file = program.main();
    let first = if text.contains("// lower: infer") { Mode::Infer } else { Mode::Init };
    let trained: Vec<&str> = file.trains().map(|t| t.model.name.as_str()).collect();
    let models = file.models().map(|m| m.name.name.as_str()).filter(|m| !trained.contains(m));
    let trainings = file.trains().map(|t| (&*t.model.name, Some(&*t.name().name), Mode::Train));
    for (model, training, what) in models.map(|m| (m, None, first)).chain(trainings) {
        let training_name = training.map(str::to_owned);
        let mut request = Request { model: Some(model.to_owned()), training: training_name, ..Request::new(what) };
        for (dim, size) in words("// sizes: ") {
            request = request.dim(dim, size.parse().expect("a number"));
        }
        for (dim, size) in words("// assumed: ") {
            request.assume(dim, size.parse().expect("a number"));
        }
        for (field, ty) in words("// fields: ") {
            request = request.field(field, data_type(ty));
        }
        errors.extend(program.lower(&request).err().unwrap_or_default());
        if what != Mode::Train {
            continue;
        }
        if errors.is_empty() {
            request.mode = Mode::Init;
            errors.extend(program.lower(&request).err().unwrap_or_default());
        }
        let settings = program.train_settings(&Request {
            model: Some(model.to_owned()),
            training: training.map(str::to_owned),
            ..Request::new(Mode::Train)
        });
        if let Ok(Some(settings)) = settings {
            errors.extend(settings.check_length().err().unwrap_or_default());
            let read: Vec<Type> = words("// reads: ").into_iter().map(|(_, ty)| data_type(ty)).collect();
            match program.dataset(&settings.data) {
                Ok(dataset) if !read.is_empty() => {
                    errors.extend(program.survey(&dataset, &read, DType::F32).err().unwrap_or_default());
                }
                looked => errors.extend(looked.err().unwrap_or_default()),
            }
        }
    }
    diagnostic::tidy(&mut errors);
    errors
}

#[test]
fn mistakes_are_explained() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/errors");
    let mut paths = vec![];
    files(&root, &mut paths);
    paths.sort();
    let mut wrong = String::new();
    let mut count = 0;
    for path in paths {
        let text = std::fs::read_to_string(&path).expect("readable");
        let name = path.strip_prefix(&root).expect("is within").to_string_lossy().replace('\\', "/");
        let marks = marks(&text);
        if marks.is_empty() {
            continue; // imported by another
        }
        let mut sources = Sources::new();
        let mut folder = Folder(path.parent().expect("has one").to_owned());
        let mut errors = check(&mut sources, &name, &text, &mut folder);
        if errors.is_empty() {
            errors = match name.starts_with("warnings/") {
                true => Program::load(&name, &text, &mut folder).expect("was fine just now").warnings,
                false => lowered(&name, &text, &mut folder),
            };
        }
        let mut open: Vec<&Diagnostic> = errors.iter().collect();
        for mark in &marks {
            match open.iter().position(|error| fits(mark, error, &sources)) {
                Some(at) => drop(open.remove(at)),
                None => wrong += &format!("{name}: no diagnostic matches {mark:?}\n"),
            }
        }
        for error in open {
            wrong += &format!("{name}: not annotated:\n{}", error.render(&sources, false));
        }
        count += errors.len();
        wrong += &unhelpful_fixes(&name, &text, &errors);
        let rendered = diagnostic::render_all(&errors, &sources, false);
        let settings = || {
            let mut settings = insta::Settings::clone_current();
            settings.set_snapshot_path(root.join("snapshots"));
            settings.set_prepend_module_to_snapshot(false);
            settings.set_omit_expression(true);
            settings
        };
        settings().bind(|| insta::assert_snapshot!(name.replace(['/', '.'], "-"), rendered));
    }
    assert!(wrong.is_empty(), "{wrong}");
    println!("{count} mistakes");
    assert!(count >= 60);
}
