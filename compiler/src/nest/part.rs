//! Parts of arguments: a kernel that reads only some consecutive elements of an argument takes these as its operand, so that
//! kernels which differ in the part only, such as the iterations of an unrolled loop over the rows of a matrix, are equal.

use super::nests::{NestStage, Nests, SourceKind};

impl Nests {
    /// Restricts each argument to the elements from the first to the last that is read. Returns for each buffer the first element
    /// if it is now a part.
    ///
    /// Arguments of which the extents do not bound every read are left whole, as are those of scatters, whose expressions have
    /// iteration spaces of their own.
    pub fn restrict_arguments(&mut self) -> Vec<Option<usize>> {
        let mut parts = vec![None; self.sources.len()];
        let Some(ranges) = self.read_ranges() else { return parts };
        for (source, range) in ranges.into_iter().enumerate() {
            let info = &mut self.sources[source];
            let elements = info.ty.shape.elements();
            let Some((low, high)) = range else { continue };
            let (Ok(low), Ok(high)) = (usize::try_from(low), usize::try_from(high)) else { continue };
            if matches!(info.kind, SourceKind::Argument(_)) && high < elements && high - low + 1 < elements {
                info.ty.shape = [high - low + 1].into();
                parts[source] = Some(low);
            }
        }
        self.exprs.shift_reads(&parts);
        parts
    }

    /// For each buffer the range of its indices, if it is read; none if there is a scatter.
    fn read_ranges(&self) -> Option<Vec<Option<(i64, i64)>>> {
        let mut ranges: Vec<Option<(i64, i64)>> = vec![None; self.sources.len()];
        for stage in &self.stages {
            let NestStage::Nest(nest) = stage else { return None };
            for (source, index) in self.exprs.reads(nest.roots()) {
                let (low, high) = index.range(&nest.extents);
                let known = &mut ranges[source];
                *known = Some(known.map_or((low, high), |(l, h)| (l.min(low), h.max(high))));
            }
        }
        Some(ranges)
    }
}
