//! Tensors as text: a line for each row of the last axis.

use dlc::{DType, Tensor};

/// The columns of a line.
const WIDTH: usize = 80;
/// Rows that are shown.
const SHOWN: usize = 8;

/// A tensor with its name and a remark. Long rows and further rows are elided.
pub fn lines(name: &str, tensor: &Tensor, remark: &str) -> Vec<String> {
    let head = format!("{name} {}", tensor.ty());
    let Some(&row) = tensor.shape().last() else {
        return vec![format!("{head} {}{remark}", element(tensor, 0))];
    };
    let rows = tensor.len().checked_div(row).unwrap_or(0);
    let texts: Vec<Vec<String>> = (0..rows.min(SHOWN))
        // a line has no room for more elements than half of its columns
        .map(|r| (0..row.min(WIDTH / 2)).map(|i| element(tensor, r * row + i)).collect())
        .collect();
    let width = texts.iter().flatten().map(String::len).max().unwrap_or(1);
    let fit = (WIDTH - 2) / (width + 2);
    let shown = if row > fit { fit - 1 } else { row };
    let line = |texts: &Vec<String>| {
        let elements: String = texts[..shown].iter().map(|text| format!("  {text:>width$}")).collect();
        elements + if shown < row { "  …" } else { "" }
    };
    let more = (rows > SHOWN).then(|| format!("  … {} rows more", rows - SHOWN));
    std::iter::once(head + remark).chain(texts.iter().map(line)).chain(more).collect()
}

/// An element with the fewest digits that identify it.
fn element(tensor: &Tensor, at: usize) -> String {
    let x = tensor.get(at);
    match tensor.dtype() {
        DType::Bool => x.as_bool().to_string(),
        DType::F32 => (x.as_f64() as f32).to_string(),
        DType::F64 => x.as_f64().to_string(),
        DType::I32 | DType::I64 | DType::U8 => x.as_i64().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_lines_that_fit() {
        let of = |shape: &[usize]| {
            let numbers = (0..shape.iter().product::<usize>()).map(|i| i as f32 / 7.0).collect();
            let tensor = Tensor::new(shape, numbers).expect("as many as the shape has");
            lines("y", &tensor, "")
        };
        assert_eq!(of(&[]), ["y f32[] 0"]);
        assert_eq!(of(&[2, 2]), ["y f32[2,2]", "           0  0.14285715", "   0.2857143  0.42857143"]);
        assert_eq!(of(&[0, 3]), ["y f32[0,3]"]);
        assert_eq!(of(&[3, 0]), ["y f32[3,0]"]);
        let large = of(&[100, 100]);
        assert!(large.len() == 10 && large[9] == "  … 92 rows more", "{large:#?}");
        assert!(large.iter().all(|line| line.chars().count() <= 80) && large[1].ends_with('…'), "{large:#?}");
        assert!(of(&[1, 40])[1].len() > 60);
    }
}
