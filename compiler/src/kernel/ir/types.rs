//! The types of values, and constants of them.

use dlc_ir::DType;

/// The element type of a value in a register.
///
/// Memory has [`DType`]s; loads and stores convert: `u8` is held as an `i32` in `0..=255` (stores keep the low
/// eight bits), `bool` as a [`Elem::Bool`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Elem {
    /// IEEE binary32.
    F32,
    /// IEEE binary64.
    F64,
    /// 32-bit integer.
    I32,
    /// 64-bit integer; the type of indices.
    I64,
    /// A boolean; as a vector, a lane mask whose representation is up to the emitter.
    Bool,
}

impl Elem {
    /// The element type in which `dtype` is computed.
    pub const fn of(dtype: DType) -> Elem {
        match dtype {
            DType::F32 => Elem::F32,
            DType::F64 => Elem::F64,
            DType::I64 => Elem::I64,
            DType::Bool => Elem::Bool,
            DType::I32 | DType::U8 => Elem::I32,
        }
    }

    /// Whether this is a floating-point type.
    pub const fn is_float(self) -> bool {
        matches!(self, Elem::F32 | Elem::F64)
    }

    /// Whether this is an integer type; `Bool` is not.
    pub const fn is_int(self) -> bool {
        matches!(self, Elem::I32 | Elem::I64)
    }

    /// Width in bits of one lane.
    pub const fn bits(self) -> u32 {
        match self {
            Elem::F32 | Elem::I32 => 32,
            Elem::F64 | Elem::I64 => 64,
            Elem::Bool => 1,
        }
    }

    /// The name in the text form.
    pub const fn name(self) -> &'static str {
        match self {
            Elem::F32 => "f32",
            Elem::F64 => "f64",
            Elem::I32 => "i32",
            Elem::I64 => "i64",
            Elem::Bool => "bool",
        }
    }
}

/// The type of a value: an element type and a number of lanes.
///
/// `lanes` is a power of two from 1 (a scalar) to [`Ty::MAX_LANES`]. Logical lanes are independent of the width of
/// registers: the 128-bit emitter holds an `f32x16` in four registers, a 512-bit one in one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ty {
    /// Element type.
    pub elem: Elem,
    /// Number of lanes; 1 is a scalar.
    pub lanes: u8,
}

impl Ty {
    /// The most lanes that a vector may have.
    pub const MAX_LANES: u8 = 16;

    /// A scalar type.
    pub const fn scalar(elem: Elem) -> Ty {
        Ty { elem, lanes: 1 }
    }

    /// A vector type.
    pub const fn vector(elem: Elem, lanes: u8) -> Ty {
        Ty { elem, lanes }
    }

    /// The scalar `i64`, type of indices.
    pub const INDEX: Ty = Ty::scalar(Elem::I64);

    /// The same lanes of another element type.
    pub const fn with_elem(self, elem: Elem) -> Ty {
        Ty { elem, lanes: self.lanes }
    }
}

/// The number of lanes by which loops over elements of `dtype` are vectorised: 16, and 8 for 64-bit elements. A body that mixes
/// dtypes uses the smallest. Fixed for all targets, so that the order of additions in a vectorised reduction does not depend on
/// the width of registers.
pub const fn lanes(dtype: DType) -> u8 {
    match dtype {
        DType::F64 | DType::I64 => 8,
        DType::F32 | DType::I32 | DType::U8 | DType::Bool => 16,
    }
}

/// A constant; vectors repeat it in every lane. Floats are bit patterns, so that constants have `Eq` and `Hash`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Const {
    /// Bits of an `f32`.
    F32(u32),
    /// Bits of an `f64`.
    F64(u64),
    /// An `i32`.
    I32(i32),
    /// An `i64`.
    I64(i64),
    Bool(bool),
}

impl Const {
    /// The element type of the constant.
    pub const fn elem(self) -> Elem {
        match self {
            Const::F32(_) => Elem::F32,
            Const::F64(_) => Elem::F64,
            Const::I32(_) => Elem::I32,
            Const::I64(_) => Elem::I64,
            Const::Bool(_) => Elem::Bool,
        }
    }

    /// Whether this is not NaN.
    pub fn is_number(self) -> bool {
        match self {
            Const::F32(bits) => !f32::from_bits(bits).is_nan(),
            Const::F64(bits) => !f64::from_bits(bits).is_nan(),
            Const::I32(_) | Const::I64(_) | Const::Bool(_) => true,
        }
    }

    /// `x` rounded to the floating-point or integer type `elem`.
    pub fn float(elem: Elem, x: f64) -> Const {
        match elem {
            Elem::F32 => Const::F32((x as f32).to_bits()),
            Elem::F64 => Const::F64(x.to_bits()),
            Elem::I32 => Const::I32(x as i32),
            Elem::I64 => Const::I64(x as i64),
            Elem::Bool => Const::Bool(x != 0.0),
        }
    }

    /// `x` wrapped to the integer type `elem` (or converted, if that is a float type).
    pub fn int(elem: Elem, x: i64) -> Const {
        match elem {
            Elem::I32 => Const::I32(x as i32),
            Elem::I64 => Const::I64(x),
            Elem::Bool => Const::Bool(x != 0),
            Elem::F32 | Elem::F64 => Const::float(elem, x as f64),
        }
    }
}
