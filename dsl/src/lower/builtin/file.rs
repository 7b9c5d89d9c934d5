//! Readers of files, in datasets and in `weights`. One body serves all: what a format holds is said by its signature.

use super::super::dataset::{Contents, Reader};
use super::super::value::Value;
use super::super::{Eval, Lower};
use super::Args;

/// The body of a reader, which is what has the library's `@reads`.
pub(super) fn read<'p>(lower: &mut Lower<'p>, args: Args<'p>) -> Eval<Value<'p>> {
    let module = lower.frame().module;
    let from = lower.program.modules().get(module as usize).map(|m| lower.program.sources.name(m.source()).to_owned());
    let reader = Reader {
        format: args.callee().to_owned(),
        contents: args.signature.reads.expect("it is a reader"),
        path: args.text(0),
        from: from.unwrap_or_default(),
        select: vec![],
        matrix: false,
        drop: vec![],
        span: lower.at(args.span),
    };
    match reader.contents {
        Contents::Tensor => lower.read(reader, args.span),
        Contents::Columns if args.get(1).is_some() => {
            let reader = Reader { matrix: true, drop: strings(lower, &args)?, ..reader };
            lower.read(reader, args.span)
        }
        Contents::Tensors | Contents::Columns => Ok(Value::Table(reader.into())),
    }
}

/// The columns that `skip` names.
fn strings<'p>(lower: &mut Lower<'p>, args: &Args<'p>) -> Eval<Vec<String>> {
    let Value::List(items) = args.value(1) else { return Err(lower.wrong(args, 1, &args.value(1), "a list of names")) };
    let name = |item: &Value<'p>| if let Value::Str(name) = item { Some(name.to_string()) } else { None };
    lower.each_of(args, 1, &items, "a list of names", name)
}
