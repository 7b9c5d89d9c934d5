//! What differentiation makes, to be looked at.

use super::*;

#[test]
fn perceptron() {
    let graph = with_gradient(parse(cases::PERCEPTRON), |_| Role::Plain);
    insta::assert_snapshot!(differentiated(&graph));
}

#[test]
fn residual_blocks() {
    let graph = with_gradient(parse(cases::RESIDUAL), |_| Role::Plain);
    insta::assert_snapshot!(differentiated(&graph));
}
