//! The rules of the fusion round: what one kernel can take into another. They work on kernels ([`super`]), not on
//! terms, and differ by what the two have to do with each other.

/// A rule of the fusion round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Fusion {
    /// A map is evaluated inside another map.
    MapIntoMap,
    /// A map is evaluated where a reduction or a product reads it.
    MapIntoPrologue,
    /// A map is applied to each element that a reduction or a product has finished.
    MapIntoEpilogue,
    /// Two values over the same elements are stored by one kernel.
    Siblings,
}

impl Fusion {
    /// Its name in `dlc explain`.
    pub const fn name(self) -> &'static str {
        match self {
            Fusion::MapIntoMap => "fuse-map-into-map",
            Fusion::MapIntoPrologue => "fuse-map-into-prologue",
            Fusion::MapIntoEpilogue => "fuse-map-into-epilogue",
            Fusion::Siblings => "fuse-siblings",
        }
    }
}
