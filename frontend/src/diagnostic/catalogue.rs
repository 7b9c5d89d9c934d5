//! Every code with its explanation: the table that `dlc explain <code>` prints.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Words with hyphens.
    pub code: &'static str,
    /// What it means and what to do, in a few sentences.
    pub explanation: &'static str,
    /// A source that has the error.
    pub example: &'static str,
}

/// The entry of `code`.
pub fn explain(code: &str) -> Option<&'static Entry> {
    CODES.iter().find(|entry| entry.code == code)
}

macro_rules! codes {
    ($($code:literal: $explanation:literal, $example:literal;)*) => {
        /// All codes: first those of the text, then those of its meaning.
        pub const CODES: &[Entry] =
            &[$(Entry { code: $code, explanation: $explanation, example: $example }),*];
    };
}

codes! {
    // Syntax.
    "bad-character": "A character that is not allowed outside of strings and comments. Names are \
        made of a-z, A-Z, 0-9 and _.", "let naïve = 1";
    "bad-number": "A number is incomplete, too large, or followed by letters. Integers are `12` or `1_000`, others \
        `0.5`, `1e-3`.", "lr: 1e-";
    "unterminated-string": "A string must end on the line where it begins. For a quotation mark inside, write \
        `\\\"`.", "as \"conv1";
    "bad-escape": "The escapes in strings are `\\n`, `\\t`, `\\r`, `\\\\`, `\\\"`, `\\{` and `\\}`.", "\"C:\\data\"";
    "bad-interpolation": "`{` in a string begins an expression, which `}` ends on the same line. For a brace itself, \
        write `\\{`.", "as \"layer{i\"";
    "unexpected-token": "Another token is expected here; the message names it.", "let x 3";
    "unclosed-bracket": "A bracket is never closed, so that everything after it was parsed as its contents.",
        "linear(64";
    "reserved-word": "A word of the language, or one kept for later, is used as a name. Choose another name.",
        "let scan = 3";
    "bad-name": "Names are lower case; a capital at the beginning marks a dimension, which only types bind.",
        "let Hidden = 64";
    "needs-parentheses": "`|>`, `if` and comparisons do not mix with other operators without parentheses: otherwise the reader \
        would have to know their precedence.", "return x + f |> g";
    "one-per-line": "A statement ends with its line, and the next one begins on a line of its own.", "let a = 1 let b = 2";
    "expression-statement": "An expression whose value is unused has no effect. Name it with `let`, \
        rebind a name, or `return` it.", "relu(x)";
    "not-a-call": "Only calls have a name in the tree of weights, and only calls can follow `|>`.", "x as conv1";
    "argument-order": "Positional arguments come first; after a keyword argument all are keyword arguments.",
        "conv2d(out: 6, 5)";
    "missing-type": "Every argument of a definition needs a type.", "block f(x) { … }";
    "missing-result": "A model declares its results with their types after `->`.", "model m(x: [B]) { … }";
    "too-deep": "Brackets or blocks are nested too deeply. Split the expression with `let`.",
        "((((((…))))))";
    "bad-version": "The first line may name the version of the language; this compiler knows version 1.", "dlc 7";
    "misplaced": "The word is not allowed here.", "yield x";
    // The RON form.
    "ron-syntax": "The text is not RON.", "(model: (name: \"m\",)";
    "ron-type": "Another kind of value is expected here.", "body: 3";
    "unknown-field": "The RON form has no field of this name here.", "(modle: (…))";
    "missing-field": "A field that the RON form requires is missing.", "model: (inputs: {…}, …)";
    "duplicate-field": "A field or key may occur only once.", "(dlc: 1, dlc: 1)";
    // Semantics.
    "unknown-name": "Nothing of this name is in scope.", "x |> batchnorm";
    "unknown-argument": "The function has no argument of this name.", "conv2d(6, 5, strides: 2)";
    "unknown-setting": "Not a setting of `train`; `dlc explain train` lists them.", "epoch = 10";
    "missing-argument": "An argument without a default is missing.", "conv2d(6)";
    "too-many-arguments": "The function takes fewer positional arguments; those with a default are keyword arguments.", "relu(x, y)";
    "duplicate-argument": "An argument has two values.", "linear(64, out: 64)";
    "duplicate-name": "Two things have the same name in one scope.", "let x = 1, then let x = 2";
    "type-mismatch": "The type of a value differs from the expected one.", "linear(\"64\")";
    "shape-mismatch": "Two shapes that must be equal differ; the labels show where each comes from.", "[B, 3] + [B, 4]";
    "rank-mismatch": "A tensor has more or fewer axes than expected.", "conv2d of [B, 10]";
    "dimension-conflict": "One name of a dimension has two sizes, or `...` two shapes.", "[B, T] given 48 and 36";
    "bad-slice": "A slice has no elements though its axis has some, or bounds and a negative step.", "x[3:3], x[5:2:-1]";
    "unbound-dimension": "The size of this dimension is not determined by anything.", "fn f() -> [N]";
    "not-divisible": "`/` of compile-time integers has to be exact; `floor_div` and `ceil_div` round.", "10 / 3";
    "division-by-zero": "Division by zero at compile time.", "1 / 0";
    "number-out-of-range": "A number is out of range for its type or use.", "u8(300)";
    "assertion-failed": "An `assert` of the model does not hold for these sizes.", "assert T <= context";
    "unused-parameter": "A weight is declared but nothing is computed from it. Use it, delete it, or put \
        `@allow(unused_parameter)` before it.", "param scale: [D] = 1";
    "unused-let": "A value has a name that nothing reads, so that it has no effect. Use it, delete it, write `_` for one of several, or put \
        `@allow(unused_let)` before it.", "let double = x * 2, and no `double` after it";
    "unused-argument": "A definition, model or dataset has an argument that nothing reads. Use it, delete it, or put \
        `@allow(unused_argument)` before it.", "fn f(x: [B], scale: float) = x * 2";
    "unused-function": "Nothing that can be compiled calls a function or block. Call it, delete it, or put \
        `@allow(unused_function)` before it.", "fn helper(x: [B]) = x * 2, which no model calls";
    "unused-import": "A name is imported that nothing in the file uses. Delete it from the import, or put \
        `@allow(unused_import)` before that.",
        "from \"blocks.dl\" import residual";
    "unused-field": "A field of a dataset feeds no input of the model, and no loss or metric reads it. Delete it, make it a \
        `let`, or put `@allow(unused_field)` before it.", "note = csv(\"points.csv\")[\"note\"]";
    "division-comment": "A comment after an expression reads like the right side of a division: `//` begins a comment, so that \
        nothing is divided. Write `floor_div(D, heads)`, or other words in the comment, or put `@allow(division_comment)` before it.",
        "let size = D // heads";
    "deprecated": "What an earlier version of the language had, and what still means the same, is written otherwise now. Write it as the \
        warning shows, or put `@allow(deprecated)` before it.", "weights = safetensors(\"w.safetensors\", rename: { \"encoder\": \"h\" })";
    "hidden-name": "A name that is defined within braces hides the one of the same name outside of them, which \
        keeps its value. Rebind the outer one without `let`, choose another name, or put `@allow(hidden_name)` before it.",
        "let h = x, then if deep { let h = x * 2 }";
    "empty-validation": "The fraction of the data for validation rounds to no example, so that nothing is \
        validated. Choose a larger fraction, delete `validation`, or put `@allow(empty_validation)` before it.",
        "validation = last(0.005) of 50 examples";
    "left-out-examples": "Some examples are never trained on in an epoch, since they fill no batch and the model takes batches of one size \
        only. Choose a batch that divides the number of examples, or put `@allow(left_out_examples)` before `batch`.",
        "batch = 8 of 50 examples, for a model of x: [8, 2]";
    "no-gradient": "A trainable weight gets no gradient from the loss. Use it, remove what stops the gradient, or \
        freeze it.", "stop_gradient(wte(tokens))";
    "recursion": "Definitions may not call themselves, directly or through others.", "block f(x: [B]) { return f(x) }";
    "import-cycle": "Files may not import each other in a circle.", "from \"a.dl\" import x, in a.dl";
    "import-failed": "An imported file cannot be read.", "from \"missing.dl\" import x";
    "missing-return": "Every path through a definition ends with `return`.", "fn f(x: [B]) { let y = x }";
    "unreachable": "Nothing after `return` is ever computed.", "return x, then let y = 1";
    "wrong-result": "What a definition returns is not what its signature says.", "-> logits: [B, 10], returning [B, 9]";
    "wrong-count": "A pattern destructures another number of values.", "let (a, b) = split(x, 3)";
    "not-constant": "The value must be known at compile time.", "if x > 0 { … }, x data";
    "not-supported-yet": "The language reserves this, but this version does not compile it yet.", "scan x in xs { … }";
    "too-large": "The model has more operations, or a tensor more elements, than any machine can hold.", "[1e9, 1e9] data";
    "internal": "A bug in dlc. Please report it.", "";
    "no-model": "The file defines no model, or none of the requested name.", "dataset d { … } alone";
    "no-training": "The file has no training of the requested name, or it trains another model.", "--train=finetune";
    "missing-setting": "`train` requires this setting.", "train m { epochs = 1 }";
    "field-mismatch": "The fields of the data do not fit the inputs of the model.", "train m { data = points() }";
    "bad-pattern": "A pattern of weights' names is malformed or matches nothing.", "trainable = [\"layer9.**\"]";
    "label-out-of-range": "A class index in the data is not one of the model's classes.", "label 255 of 10 classes";
    "weights-mismatch": "The weights in a file do not fit the model.", "weights = safetensors(\"other.safetensors\")";
    // Files, data and weights.
    "missing-file": "The file does not exist, or cannot be read.", "dlc check minst.dl";
    "cannot-write": "The file or folder cannot be written, or exists already.", "dlc init digits, twice";
    "would-overwrite": "The output would replace a file that this run reads, or one that dlc did not write. Choose \
        another file; `--force` replaces what dlc did not write.", "dlc compile m.dl -o m.dl";
    "wrong-format": "The file is not in the expected format.", "idx(\"table.csv\")";
    "unknown-format": "The extension of the file name is not supported.", "-o weights.doc";
    "truncated-file": "The file ends before its content does.", "a download that was cut off";
    "damaged-file": "The content of the file is corrupt.", "a checkpoint with a flipped bit";
    "unsupported-data": "The file is valid, but its elements have no dtype in dlc.", "complex numbers in a .npy";
    "unknown-column": "The table has no column of that name.", "csv(\"t.csv\")[\"weigth\"]";
    "duplicate-column": "Two columns of the table have the same name.", "a,b,a";
    "open-quote": "A field of the table begins with a quotation mark that is never closed, or is closed in the middle of the \
        field, so that rows would be read as text. A quotation mark within quotation marks is written twice.", "1,\"two";
    "ragged-table": "A row of the table has more or fewer cells than the header.", "a,b above 1,2,3";
    "no-examples": "A field of the data has no axis of examples.", "label = 3";
    "mixed-examples": "A field of a dataset is computed of several examples at once, or is the same for all. A field is a \
        function of one example, so that it can be computed batch by batch and is the same in every batch. What is computed of \
        all training examples, such as a mean, is a `fit`.", "x = raw - mean(raw, axis: 0)";
    "unfitted": "`fit`s are computed of the examples of `data`. Another dataset of the section has `fit`s of its own, to which \
        nothing gives a value. Let both be calls of one dataset with different arguments.", "test = others()";
    "example-count": "Two fields of the data have different numbers of examples.", "8,500 images, 8,499 labels";
    "too-few-examples": "There are fewer examples than one batch takes.", "batch = 64 on 50 examples";
    "not-finite": "The data or a batch holds NaN or an infinity.", "a missing cell read as NaN";
    "io": "The operating system reported an error when reading or writing.", "a full disk";
    "folder-in-use": "Another training writes to this folder.", "dlc train --folder runs/1, twice at once";
    "other-training": "The checkpoint belongs to another model, other data, or other settings.", "--resume after a layer was added";
    "no-initial-value": "The program of initial values lacks a weight: a bug in dlc.", "";
    "no-program": "No program evaluates batches of a size that the data needs: a bug in dlc.", "";
    "no-loss": "The training step has no scalar `loss`.", "loss = logits";
    "other-weights": "Two programs of one model, for different batch sizes, have different weights or outputs.", "param w: [B] = 0";
    "loss-not-finite": "The loss became NaN or infinite. A smaller learning rate or clipped gradients may help.", "sgd(lr: 1000)";
    "one-batch-size": "Loss or metrics of many batches cannot be computed for a model with a fixed batch size, or one that depends on it.", "metrics = [sum(y)]  // and x: [32, 10]";
    "hidden-reduction": "A block reduces over all examples of a batch, so that loss or metrics over many batches cannot be computed: the \
        model is too large to be compiled without functions. Reduce outside of the block.", "return mean(x * x), in a block";
    "bad-artefact": "The .dlx file is damaged, of another version, or not an artefact.", "dlc run notes.txt";
    // Run time.
    "failed-check": "A check of the program failed at run time, such as that of an index.", "label 255 of 10 classes";
    "out-of-memory": "The program needs more memory than can be allocated.", "--set hidden=1000000000";
    "kernel-too-large": "A kernel in a file exceeds the limits on size and redundant evaluations.", "dlc run of an artefact that another program wrote";
    "poisoned": "An earlier step failed after some weights or states were updated. `Trainer::restore` sets all of them again.", "going on after an error";
    "usage": "The command line is malformed; see `dlc --help`.", "dlc train, without a model";
    "bad-argument": "The value is not valid for this argument.", "--float i32";
    "bad-input": "The input does not have the expected form.", "dlc run m.dlx --json without \"inputs\"";
    "bad-graph": "The text is not a graph, or not well-typed.", "dlc opt model.dl";
    "unknown-pass": "Unknown pass.", "dlc opt --passes=optimise";
    "bad-baseline": "The file is not a report of `dlc bench`. `dlc bench m.dl --save before.json` writes one.",
        "--baseline=notes.txt";
    "other-baseline": "The baseline is a report of another program, or on another target or number of threads, so that the times cannot \
        be compared.", "--threads=1 --baseline=two-threads.json";
    "unknown-target": "Unknown instruction set, or one of this machine that dlc does not support.", "--target=z80";
    "wrong-target": "Code for an instruction set that this machine lacks can be printed, but not run.",
        "--target=aarch64";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_words() {
        for (i, entry) in CODES.iter().enumerate() {
            assert!(entry.code.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'), "{}", entry.code);
            assert!(!CODES[..i].iter().any(|other| other.code == entry.code), "duplicate code {}", entry.code);
            assert!(entry.explanation.ends_with('.'), "{}", entry.code);
        }
    }
}
