//! Index arithmetic compared with arithmetic on numbers.

use super::*;

#[test]
fn reshapes_cancel() {
    let extents = [6, 4, 5];
    let flat = AffineIndex::row_major(0..3, &extents);
    let there = flat.unflatten(&[3, 40], &extents);
    let back = AffineIndex::flatten(&there, &[3, 40]).unflatten(&[6, 4, 5], &extents);
    assert_eq!(back, vec![AffineIndex::axis(0), AffineIndex::axis(1), AffineIndex::axis(2)]);
}

#[test]
fn quotients_recombine() {
    let extents = [120];
    let index = AffineIndex::axis(0).unflatten(&[2, 3, 4, 5], &extents);
    assert_eq!(AffineIndex::flatten(&index, &[2, 3, 4, 5]), AffineIndex::axis(0));
}

#[test]
fn what_overflows_stays_so() {
    let extents = [1 << 40, 1 << 40];
    let (x, y) = (AffineIndex::axis(0), AffineIndex::axis(1));
    let far = x.scaled(1 << 40);
    let overflows = [
        far.scaled(1 << 40),
        AffineIndex::constant(i64::MAX).plus_constant(1),
        AffineIndex::constant(i64::MIN).scaled(-1),
        x.scaled(i64::MAX).plus(&x),
        AffineIndex::row_major(0..3, &[1 << 40; 3]),
        AffineIndex::flatten(&[x.clone(), y.clone(), x.clone()], &[1 << 40; 3]),
        // the quotient of a quotient, by 2^80
        x.plus(&y).scaled(3).div(1 << 40, &[1 << 62, 1 << 62]).div(1 << 40, &[1 << 62, 1 << 62]),
        // a remainder of what may overflow
        x.scaled(3).plus(&y).modulo(5, &[1 << 62, 1 << 62]),
    ];
    for (i, sum) in overflows.iter().enumerate() {
        assert!(sum.overflows(), "{i}: {sum:?}");
        // overflow is absorbing
        let followed = [
            sum.plus(&y),
            y.plus(sum),
            sum.scaled(0),
            sum.plus(&sum.scaled(-1)),
            sum.div(7, &extents),
            sum.modulo(1, &extents),
            AffineIndex::axis(0).substitute(std::slice::from_ref(sum), &extents, &mut |e| e),
            x.div(3, &extents).substitute(std::slice::from_ref(sum), &extents, &mut |e| e),
        ];
        assert!(followed.iter().all(AffineIndex::overflows), "{i}: {followed:?}");
        assert_eq!(sum.range(&extents), (i64::MIN, i64::MAX));
    }
    assert!(!far.overflows() && !far.plus(&y).div(1 << 40, &extents).overflows());
}

#[test]
fn quotient_of_known_parts() {
    let extents = [7, 4];
    let x = AffineIndex::axis(0).scaled(4).plus(&AffineIndex::axis(1)).plus_constant(8);
    assert_eq!(x.div(4, &extents), AffineIndex::axis(0).plus_constant(2));
    assert_eq!(x.modulo(4, &extents), AffineIndex::axis(1));
    assert_eq!(x.range(&extents), (8, 35));
}

#[test]
fn every_rule_keeps_the_value() {
    fn value(x: &AffineIndex, at: &[i64]) -> i64 {
        x.terms.iter().fold(x.constant, |sum, (atom, c)| {
            sum + c * match atom {
                AffineTerm::Axis(axis) => at[*axis],
                AffineTerm::Div(x, k) => value(x, at).div_euclid(*k),
                AffineTerm::Mod(x, k) => value(x, at).rem_euclid(*k),
                AffineTerm::Data { .. } | AffineTerm::Overflow => {
                    unreachable!("neither data nor overflow in this test")
                }
            }
        })
    }
    let extents = [5, 6];
    for (a, b, c) in [(6, 1, 0), (6, 3, -4), (-1, 2, 7), (4, 6, 3), (9, 0, 2)] {
        let x = AffineIndex::axis(0).scaled(a).plus(&AffineIndex::axis(1).scaled(b)).plus_constant(c);
        for k in [2, 3, 4, 6, 12] {
            for l in [2, 3, 5] {
                let exprs = [
                    x.div(k, &extents).div(l, &extents),
                    x.modulo(k * l, &extents).div(k, &extents),
                    x.div(k, &extents).modulo(l, &extents).scaled(k).plus(&x.modulo(k, &extents)),
                    x.modulo(k * l, &extents).modulo(l, &extents),
                ];
                for i in 0..5 {
                    for j in 0..6 {
                        let at = [i, j];
                        let v = a * i + b * j + c;
                        let wanted = [
                            v.div_euclid(k).div_euclid(l),
                            v.rem_euclid(k * l).div_euclid(k),
                            v.div_euclid(k).rem_euclid(l) * k + v.rem_euclid(k),
                            v.rem_euclid(k * l).rem_euclid(l),
                        ];
                        assert_eq!(exprs.each_ref().map(|f| value(f, &at)), wanted, "{x:?} {k} {l} {at:?}");
                    }
                }
            }
        }
    }
}
