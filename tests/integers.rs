//! Quotients and remainders of integers: one table, computed by hand, for numbers known when compiling and for data, by the reference
//! and by machine code.

use dlc::{Compiler, Model, Tensor};

/// x, y, floor_div(x, y), ceil_div(x, y), x % y.
type Row = [i64; 5];

const TABLE: &[Row] = &[
    [7, 2, 3, 4, 1],
    [-7, 2, -4, -3, 1],
    [7, -2, -4, -3, -1],
    [-7, -2, 3, 4, -1],
    [6, 3, 2, 2, 0],
    [-6, 3, -2, -2, 0],
    [6, -3, -2, -2, 0],
    [-6, -3, 2, 2, 0],
    [1, 3, 0, 1, 1],
    [-1, 3, -1, 0, 2],
    [1, -3, -1, 0, -2],
    [-1, -3, 0, 1, -1],
    [0, 5, 0, 0, 0],
    [0, -5, 0, 0, 0],
];

/// Rows at the ends of a type.
fn ends(min: i64, max: i64) -> Vec<Row> {
    let half = max / 2; // 2 * half + 1 == max
    vec![
        [min, 1, min, min, 0],
        [min, 2, -half - 1, -half - 1, 0],
        [min, -2, half + 1, half + 1, 0],
        [min, min, 1, 1, 0],
        [min, max, -2, -1, max - 1],
        [max, min, -1, 0, -1],
        [max, 2, half, half + 1, 1],
        [max, -2, -half - 1, -half, -1],
        [max, max, 1, 1, 0],
        [max, -1, -max, -max, 0],
        [min + 1, -1, max, max, 0],
        [1, min, -1, 0, min + 1],
        [-1, max, -1, 0, max - 1],
    ]
}

/// What data has and numbers known when compiling have not: it wraps around, and nothing by 0 is 0.
fn data_only(min: i64) -> Vec<Row> {
    vec![[min, -1, min, min, 0], [7, 0, 0, 0, 0], [-7, 0, 0, 0, 0], [0, 0, 0, 0, 0], [min, 0, 0, 0, 0]]
}

#[test]
fn data_has_the_table() {
    for (dtype, min, max) in [("i64", i64::MIN, i64::MAX), ("i32", i32::MIN.into(), i32::MAX.into()), ("u8", 0, 255)] {
        let rows = if min == 0 {
            let rows: [Row; 6] = [
                [7, 2, 3, 4, 1],
                [255, 2, 127, 128, 1],
                [255, 255, 1, 1, 0],
                [0, 3, 0, 0, 0],
                [1, 255, 0, 1, 1],
                [5, 0, 0, 0, 0],
            ];
            rows.to_vec()
        } else {
            [TABLE.to_vec(), ends(min, max), data_only(min)].concat()
        };
        let text = format!(
            "dlc 1
model m(x: {dtype}[N], y: {dtype}[N]) -> (floor: {dtype}[N], ceil: {dtype}[N], rest: {dtype}[N]) {{
  return (floor_div(x, y), ceil_div(x, y), x % y)
}}"
        );
        let model = Model::parse(&text).unwrap_or_else(|e| panic!("{e}"));
        let column = |i: usize| {
            let numbers: Vec<i64> = rows.iter().map(|row| row[i]).collect();
            match dtype {
                "i64" => Tensor::new([rows.len()], numbers),
                "i32" => Tensor::new([rows.len()], numbers.iter().map(|&n| n as i32).collect::<Vec<_>>()),
                _ => Tensor::new([rows.len()], numbers.iter().map(|&n| n as u8).collect::<Vec<_>>()),
            }
            .expect("as many as the shape says")
        };
        let args = [column(0), column(1)];
        let inputs = [("x", &args[0]), ("y", &args[1])];
        let program = Compiler::new().compile(&model, [("N", rows.len())]).unwrap_or_else(|e| panic!("{e}"));
        let compiled = program.session().run(inputs).unwrap_or_else(|e| panic!("{e}"));
        let graph = model.graph([("N", rows.len())]).unwrap_or_else(|e| panic!("{e}"));
        let reference = graph.interpret(&args).expect("it runs");
        for (i, name) in ["floor", "ceil", "rest"].into_iter().enumerate() {
            let expected = column(i + 2);
            for (j, row) in rows.iter().enumerate() {
                let found = [reference[i].get(j), compiled[name].get(j)];
                assert_eq!(
                    found,
                    [expected.get(j); 2],
                    "{name} of {dtype} {row:?}, by the reference and by machine code"
                );
            }
        }
    }
}

#[test]
fn numbers_known_when_compiling_have_the_table() {
    let number = |n: i64| if n == i64::MIN { format!("({} - 1)", n + 1) } else { n.to_string() };
    for [x, y, floor, ceil, rest] in [TABLE.to_vec(), ends(i64::MIN, i64::MAX)].concat() {
        let [a, b, floor, ceil, rest] = [x, y, floor, ceil, rest].map(number);
        let text = format!(
            "dlc 1
model m(x: [N]) -> y: [N] {{
  assert floor_div({a}, {b}) == {floor}, \"floor_div({a}, {b}) is {{floor_div({a}, {b})}}\"
  assert ceil_div({a}, {b}) == {ceil}, \"ceil_div({a}, {b}) is {{ceil_div({a}, {b})}}\"
  assert {a} % {b} == {rest}, \"{a} % {b} is {{{a} % {b}}}\"
  return x
}}"
        );
        let model = Model::parse(&text).unwrap_or_else(|e| panic!("{e}"));
        model.graph([("N", 1)]).unwrap_or_else(|e| panic!("{e}"));
    }
}

/// Both functions work in sizes too.
#[test]
fn sizes_are_quotients() {
    let text = "dlc 1
model m(x: [N, 1, 7], kernel: int = 3) -> y: [N, 4] {
  let z = convolve(x, ones([1, 1, kernel]), padding: floor_div(kernel, 2))
  return z[:, 0, ::2][:, 0:ceil_div(size(z, axis: 2), 2)]
}";
    let model = Model::parse(text).unwrap_or_else(|e| panic!("{e}"));
    model.graph([("N", 2)]).unwrap_or_else(|e| panic!("{e}"));
}
