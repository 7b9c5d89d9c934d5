//! Whether an access stays inside its buffer.

use super::{CHOICES, Int, SelectForms, Walk};
use crate::kernel::bounds::Unproved;
use crate::kernel::bounds::affine::Affine;
use crate::kernel::bounds::facts::{EFFORTS, Range};
use crate::kernel::ir::*;

impl Walk<'_> {
    pub(super) fn access(&mut self, access: &Access, lanes: u8) {
        let index = self.int(access.index);
        if let Some(mask) = access.active.filter(|&mask| self.kernel.ty(mask).elem == Elem::Bool) {
            return self.masked(access, &index, mask);
        }
        let active = access.active.map(|n| self.int(n));
        let reached = active.as_ref().map_or(i64::from(lanes), |n| n.range.high.min(i64::from(lanes)));
        if reached <= 0 {
            self.accesses += 1;
            return;
        }
        let span = (access.stride.checked_mul(reached - 1)).and_then(|span| span.checked_add(access.offset));
        let Some(last) = span else { return self.refuse(access.buf, Range::ALL) };
        let ends = if access.stride >= 0 { (access.offset, last) } else { (last, access.offset) };
        // The last active lane may have a tighter bound together with the index.
        let together = active.filter(|n| n.form.as_constant().is_none() && lanes > 1).and_then(|n| {
            let before_last = n.form.plus_constant(-1)?;
            index.form.plus(&before_last, access.stride)
        });
        if let Some(form) = together {
            let moved = Int { form, range: Range::ALL };
            let by_ends = [(&index, ends.0), (&index, ends.1)];
            let sides = if access.stride >= 0 {
                [(&index, access.offset), (&moved, access.offset)]
            } else {
                [(&moved, access.offset), (&index, access.offset)]
            };
            let [quick, all] = EFFORTS;
            if !self.is_proved(access.buf, by_ends, quick)
                && (self.is_proved_somehow(access.buf, sides, quick) || !self.is_proved(access.buf, by_ends, all))
            {
                return self.prove(access.buf, sides);
            }
        }
        self.prove(access.buf, [(&index, ends.0), (&index, ends.1)]);
    }

    /// An access of the lanes in which a mask holds.
    fn masked(&mut self, access: &Access, index: &Int, mask: Val) {
        let lane = self.lane(self.kernel.ty(mask).lanes);
        let Some(form) = index.form.plus(&lane.form, access.stride) else { return self.refuse(access.buf, Range::ALL) };
        let at = Int { form, range: Range::ALL };
        let formula = self.truth(mask);
        let (mark, around) = (self.facts.mark(), self.facts.enter());
        if self.facts.assume(&formula) {
            self.prove(access.buf, [(&at, access.offset), (&at, access.offset)]);
        } else {
            self.accesses += 1;
        }
        self.facts.release(mark);
        self.facts.leave(around);
    }

    /// Records an access unless its first and its last element are proved to be in the buffer.
    pub(super) fn prove(&mut self, buf: Buf, ends: [(&Int, i64); 2]) {
        if self.is_dead || EFFORTS.into_iter().any(|effort| self.is_proved_somehow(buf, ends, effort)) {
            self.accesses += 1;
            return;
        }
        let at = |(x, offset): (&Int, i64)| Range {
            low: x.range.low.saturating_add(offset),
            high: x.range.high.saturating_add(offset),
        };
        self.refuse(buf, Range { low: at(ends[0]).low, high: at(ends[1]).high });
    }

    pub(super) fn refuse(&mut self, buf: Buf, range: Range) {
        if !self.is_dead {
            let elements = self.kernel.extent(buf).1;
            let access = self.accesses;
            self.unproved.push(Unproved { access, buf, elements, first: range.low, last: range.high });
        }
        self.accesses += 1;
    }

    fn is_proved_somehow(&mut self, buf: Buf, ends: [(&Int, i64); 2], effort: u32) -> bool {
        self.is_proved(buf, ends, effort) || self.is_proved_by_choices(buf, ends, effort)
    }

    pub(super) fn is_proved(&mut self, buf: Buf, [first, last]: [(&Int, i64); 2], effort: u32) -> bool {
        let elements = self.kernel.extent(buf).1 as i128;
        let from = -i128::from(first.1);
        let to = elements - 1 - i128::from(last.1);
        (i128::from(first.0.range.low) >= from || self.facts.at_least(&first.0.form, from, effort))
            && (i128::from(last.0.range.high) <= to || self.facts.at_most(&last.0.form, to, effort))
    }

    pub(super) fn is_proved_by_choices(&mut self, buf: Buf, [first, last]: [(&Int, i64); 2], effort: u32) -> bool {
        let elements = self.kernel.extent(buf).1 as i128;
        let from = -i128::from(first.1);
        let to = elements - 1 - i128::from(last.1);
        let opposite = first.0.form.scaled(-1);
        opposite.is_some_and(|form| self.each_way(&form, -from, CHOICES, effort))
            && self.each_way(&last.0.form, to, CHOICES, effort)
    }

    /// Whether a form is at most `goal`, whichever case the selects in it go.
    pub(super) fn each_way(&mut self, form: &Affine, goal: i128, depth: usize, effort: u32) -> bool {
        if self.facts.at_most(form, goal, effort) {
            return true;
        }
        let choice = form.terms.iter().find_map(|&(atom, c)| Some((atom, c, self.choices.get(&atom)?.clone())));
        let (Some((atom, c, SelectForms { formula, cases: forms })), 1..) = (choice, depth) else { return false };
        let rest = form.plus(&Affine::atom(atom), c.wrapping_neg());
        let cases = [formula.clone(), formula.negated()];
        rest.is_some_and(|rest| {
            cases.iter().zip(forms).all(|(case, form)| {
                let Some(form) = rest.plus(&form, c) else { return false };
                let (mark, around) = (self.facts.mark(), self.facts.enter());
                let holds = !self.facts.assume(case) || self.each_way(&form, goal, depth - 1, effort);
                self.facts.release(mark);
                self.facts.leave(around);
                holds
            })
        })
    }
}
