//! Readers of files, in datasets.

use super::super::dataset::{Format, Reader};
use super::super::value::Value;
use super::super::{Eval, Lower};
use super::{Args, Bodies};

pub(super) const BODIES: Bodies = &[
    ("idx", |lower, args| read(lower, args, Format::Idx, false)),
    ("npy", |lower, args| read(lower, args, Format::Npy, false)),
    ("npz", |lower, args| read(lower, args, Format::Npz, true)),
    ("safetensors", |lower, args| read(lower, args, Format::Safetensors, true)),
    ("csv", |lower, args| read(lower, args, Format::Csv, true)),
];

fn read<'p>(lower: &mut Lower<'p>, args: Args<'p>, format: Format, several: bool) -> Eval<Value<'p>> {
    let path = args.text(0);
    let module = lower.frame().module;
    let from = lower.program.modules().get(module as usize).map(|m| lower.program.sources.name(m.source()).to_owned());
    let span = lower.at(args.span);
    let reader =
        Reader { format, path, from: from.unwrap_or_default(), select: vec![], matrix: false, drop: vec![], span };
    if format == Format::Csv && args.get(1).is_some() {
        let reader = Reader { matrix: true, drop: strings(lower, &args)?, ..reader };
        return lower.read(reader, args.span);
    }
    if several {
        return Ok(Value::Table(reader.into()));
    }
    lower.read(reader, args.span)
}

/// The columns that `skip` names.
fn strings<'p>(lower: &mut Lower<'p>, args: &Args<'p>) -> Eval<Vec<String>> {
    let Value::List(items) = args.value(1) else { return Err(lower.wrong(args, 1, &args.value(1), "a list of names")) };
    let mut names = vec![];
    for item in items.iter() {
        match item {
            Value::Str(name) => names.push(name.to_string()),
            other => return Err(lower.wrong(args, 1, other, "a list of names")),
        }
    }
    Ok(names)
}
