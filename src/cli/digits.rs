//! A sample of predictions, for models that name classes.

use dlc::inspect::Part;
use dlc::{Error, Predictions, Tensor, Training, inspect};

use super::table;

/// How many examples are shown.
const SHOWN: usize = 9;
/// Examples in which the most frequent mistake is counted: an evaluation batch, since its memory is allocated anyway.
const LOOKED_AT: usize = 256;

/// Lines with classes and predictions, if the model has an output `[examples, classes]` and the loss or a metric takes a field
/// for the number of the class.
///
/// # Errors
/// If the model cannot be run on the examples.
pub fn sample(training: &Training) -> Result<Vec<String>, Error> {
    let Predictions { part, outputs, fields } = training.predict(LOOKED_AT)?;
    let logits = outputs.iter().map(|(_, t)| t).find(|t| t.ty().rank() == 2 && t.shape()[1] > 1);
    let Some(logits) = logits else { return Ok(vec![]) };
    let named = inspect::class_fields(&training.lowered().graph, logits.shape()[1]);
    let labels = named.iter().filter_map(|name| fields.get(name)).find(|t| t.ty().rank() == 1 && t.dtype().is_int());
    let Some(labels) = labels else { return Ok(vec![]) };
    let predicted = classes(logits);
    let labels: Vec<i64> = labels.scalars().map(|x| x.as_i64()).collect();
    let pair = |(label, guess): (&i64, &i64)| {
        let mark = if label == guess { "" } else { " ✗" };
        format!("{label}→{guess}{mark}")
    };
    let mut lines = vec![];
    if let Some(image) = fields.iter().map(|(_, t)| t).find(|t| t.ty().rank() == 3) {
        lines.extend(pictures(image, &labels, &predicted));
    }
    let pairs: Vec<String> = labels.iter().zip(&predicted).take(SHOWN).map(pair).collect();
    let mut wrong: Vec<(i64, i64)> =
        labels.iter().copied().zip(predicted.iter().copied()).filter(|(a, b)| a != b).collect();
    wrong.sort_unstable();
    let most = wrong.chunk_by(|a, b| a == b).max_by_key(|group| group.len());
    let most = most.map_or(String::new(), |g| {
        format!("most frequent mistake: {} predicted as {}, {} of {}", g[0].0, g[0].1, g.len(), labels.len())
    });
    // Correct predictions of training examples do not show that the model generalises.
    let seen = if part == Part::Train { "on training examples".to_owned() } else { String::new() };
    lines.push(table::wrapped("", &[pairs.join("  "), most, seen]));
    Ok(lines)
}

fn classes(logits: &Tensor) -> Vec<i64> {
    let classes = logits.shape()[1];
    let values = logits.to_f64s();
    let best = |row: &[f64]| (0..row.len()).fold(0, |best, i| if row[i] > row[best] { i } else { best }) as i64;
    values.chunks(classes).map(best).collect()
}

/// The first images side by side, in half blocks: two rows of pixels per line.
fn pictures(images: &Tensor, labels: &[i64], predicted: &[i64]) -> Vec<String> {
    /// As many as fit 80 columns at 14 characters each.
    const IMAGES: usize = 5;
    let (height, width) = (images.shape()[1], images.shape()[2]);
    if height > 32 || width > 32 || images.shape()[0] < IMAGES {
        return vec![];
    }
    let values = images.to_f64s();
    let largest = values.iter().copied().fold(0.0, f64::max).max(f64::MIN_POSITIVE);
    // every second column, since a character is twice as high as wide
    let lit = |image: usize, row: usize, column: usize| {
        row < height && values[(image * height + row) * width + column] > 0.4 * largest
    };
    let cell = |image: usize, row: usize, column: usize| {
        let any = |r: usize| lit(image, r, column) || (column + 1 < width && lit(image, r, column + 1));
        match (any(row), any(row + 1)) {
            (true, true) => '█',
            (true, false) => '▀',
            (false, true) => '▄',
            (false, false) => ' ',
        }
    };
    let line = |row: usize| {
        let parts = (0..IMAGES).map(|i| (0..width).step_by(2).map(|c| cell(i, row, c)).collect::<String>());
        parts.collect::<Vec<_>>().join(" ").trim_end().to_owned()
    };
    let mut lines: Vec<String> = (0..height).step_by(2).map(line).filter(|l| !l.is_empty()).collect();
    let caption =
        (0..IMAGES).map(|i| format!("{:^w$}", format!("{}→{}", labels[i], predicted[i]), w = width.div_ceil(2)));
    lines.push(caption.collect::<Vec<_>>().join(" ").trim_end().to_owned());
    lines
}
