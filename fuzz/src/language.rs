//! The two forms of the language.

use dlc_dsl::diagnostic::{has_errors, render_all};
use dlc_dsl::{Diagnostic, Mode, NoFiles, Program, Request, Sources, format, format_ron, parse_ron, to_dl, to_ron};
use dlc_ir::{DType, Type};

/// Both of [`parse`] and [`convert`].
pub fn dl(input: &[u8]) -> bool {
    parse(input) && convert(input)
}

/// Parsing never panics, errors can be rendered, and the formatting of a valid source is a fixed point with the same meaning.
pub fn parse(input: &[u8]) -> bool {
    let text = String::from_utf8_lossy(input);
    let mut sources = Sources::new();
    let source = sources.add("fuzz.dl", text.clone());
    let (file, errors) = dlc_dsl::parse(source, &text);
    show(&errors, &sources);
    if has_errors(&errors) {
        assert!(format(source, &text).is_err(), "a faulty text was formatted");
        return false;
    }
    let once = format(source, &text).unwrap_or_else(|_| panic!("a good text was not formatted"));
    let (again, errors) = dlc_dsl::parse(source, &once);
    assert!(errors.is_empty(), "formatting brought errors:\n{once}\n{errors:?}");
    assert!(file.same(&again), "formatting changed what the text says:\n{text}\n---\n{once}");
    let twice = format(source, &once).unwrap_or_else(|_| panic!("a formatted text was not formatted again"));
    assert_eq!(once, twice, "formatting twice is not formatting once");
    true
}

/// A valid `.dl` source is converted to RON and back without a change of its meaning.
pub fn convert(input: &[u8]) -> bool {
    let text = String::from_utf8_lossy(input);
    let mut sources = Sources::new();
    let source = sources.add("fuzz.dl", text.clone());
    let (file, errors) = dlc_dsl::parse(source, &text);
    if has_errors(&errors) {
        return false;
    }
    let ron = to_ron(&file);
    let source = sources.add("fuzz.ron", ron.clone());
    let (from_ron, errors) = parse_ron(source, &ron);
    assert!(errors.is_empty(), "{ron}\n{}", render_all(&errors, &sources, false));
    assert!(from_ron.same(&file), "RON says something else:\n{text}\n---\n{ron}");
    let dl = to_dl(&from_ron);
    let source = sources.add("back.dl", dl.clone());
    let (back, errors) = dlc_dsl::parse(source, &dl);
    assert!(errors.is_empty(), "{dl}\n{}", render_all(&errors, &sources, false));
    assert!(back.same(&file), "the way back says something else:\n{text}\n---\n{dl}");
    true
}

/// Parsing RON never panics, and valid RON can be formatted, written and parsed again.
pub fn ron(input: &[u8]) -> bool {
    let text = String::from_utf8_lossy(input);
    let mut sources = Sources::new();
    let source = sources.add("fuzz.ron", text.clone());
    let (file, errors) = parse_ron(source, &text);
    show(&errors, &sources);
    if has_errors(&errors) {
        return false;
    }
    let once = format_ron(source, &text).unwrap_or_else(|_| panic!("a good text was not formatted"));
    let (formatted, errors) = parse_ron(source, &once);
    assert!(errors.is_empty(), "formatting brought errors:\n{once}\n{errors:?}");
    assert!(file.same(&formatted), "formatting changed what the text says:\n{text}\n---\n{once}");
    let twice = format_ron(source, &once).unwrap_or_else(|_| panic!("a formatted text was not formatted again"));
    assert_eq!(once, twice, "formatting twice is not formatting once");
    let ron = to_ron(&file);
    let source = sources.add("again.ron", ron.clone());
    let (again, errors) = parse_ron(source, &ron);
    assert!(errors.is_empty(), "{ron}\n{}", render_all(&errors, &sources, false));
    assert!(again.same(&file), "RON does not come back:\n{text}\n---\n{ron}");
    let dl = to_dl(&file);
    let source = sources.add("as.dl", dl.clone());
    let (from_dl, errors) = dlc_dsl::parse(source, &dl);
    assert!(errors.is_empty(), "{dl}\n{}", render_all(&errors, &sources, false));
    assert!(from_dl.same(&file), ".dl says something else:\n{text}\n---\n{dl}");
    true
}

/// Lowering never panics, its errors can be rendered, and every graph that it makes is well-formed.
pub fn lower(input: &[u8]) -> bool {
    let text = String::from_utf8_lossy(input);
    let first = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with("//"));
    let name = if first.is_some_and(|line| line.starts_with('(')) { "fuzz.ron" } else { "fuzz.dl" };
    let program = match Program::load(name, &text, &mut NoFiles) {
        Ok(program) => program,
        Err(errors) => {
            show(&errors.diagnostics, &errors.sources);
            return false;
        }
    };
    if let Err(errors) = program.train_settings(&Request::new(Mode::Train)) {
        show(&errors, &program.sources);
    }
    let float = DType::F32;
    let fields = [
        ("image", Type::new(float, [4, 28, 28])),
        ("measures", Type::new(float, [4, 30])),
        ("x", Type::new(float, [4, 3])),
        ("actual", Type::new(float, [4])),
        ("label", Type::new(DType::U8, [4])),
    ];
    let names: Vec<String> = program.main().models().map(|model| model.name.name.clone()).collect();
    let mut whole = !names.is_empty();
    for model in names {
        for what in [Mode::Infer, Mode::Eval, Mode::Train, Mode::Init] {
            let trained = program.main().trains().any(|train| train.model.name == model);
            if !trained && matches!(what, Mode::Eval | Mode::Train) {
                continue;
            }
            let mut request = Request { model: Some(model.clone()), ..Request::new(what) };
            request.dims = program.free_dims(Some(&model)).unwrap_or_default().into_iter().map(|d| (d, 4)).collect();
            if trained {
                request.fields = fields.iter().map(|(name, ty)| ((*name).to_owned(), ty.clone())).collect();
            }
            match program.lower(&request) {
                Ok(lowered) => lowered.graph.verify().unwrap_or_else(|e| panic!("{e}:\n{}", lowered.graph)),
                Err(errors) => {
                    assert!(errors.iter().all(|error| error.code != "internal"), "{errors:?}");
                    show(&errors, &program.sources);
                    whole = false;
                }
            }
        }
    }
    whole
}

fn show(errors: &[Diagnostic], sources: &Sources) {
    for error in errors {
        assert!(error.span().is_some(), "an error without a span: {error}");
        error.render(sources, false);
        error.to_json(sources);
    }
}
