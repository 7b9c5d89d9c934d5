//! Cache lines of sixteen numbers, and the instructions on them: AVX-512, or AVX2 with FMA, whose two registers make a line.

#![allow(unsafe_code, reason = "calls of instructions that the machine was asked for, and slices as aligned lines")]

use std::arch::x86_64::*;

/// The numbers of a line.
pub const LANES: usize = 16;

/// A cache line, aligned as its loads and stores expect.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub struct Line(pub [f32; LANES]);

/// Numbers as lines; none if they do not begin and end with one.
pub fn lines(numbers: &[f32]) -> Option<&[Line]> {
    let whole = numbers.len().is_multiple_of(LANES) && numbers.as_ptr().cast::<Line>().is_aligned();
    // SAFETY: a line has sixteen numbers and no padding; the length and the alignment were looked at, and the lifetime is the same.
    whole.then(|| unsafe { std::slice::from_raw_parts(numbers.as_ptr().cast(), numbers.len() / LANES) })
}

/// The same of numbers that are written.
pub fn lines_mut(numbers: &mut [f32]) -> Option<&mut [Line]> {
    let whole = numbers.len().is_multiple_of(LANES) && numbers.as_ptr().cast::<Line>().is_aligned();
    // SAFETY: as in `lines`, and the numbers are borrowed mutably for as long.
    whole.then(|| unsafe { std::slice::from_raw_parts_mut(numbers.as_mut_ptr().cast(), numbers.len() / LANES) })
}

/// Work on vectors, for any instruction set.
pub trait Task {
    /// Does it. Must be `#[inline(always)]`, so that it is compiled for the instruction set.
    fn run<V: Vector>(self, v: V);
}

/// An instruction set: a value of the type proves that the machine has it.
pub trait Vector: Copy + Send {
    /// Sixteen numbers in registers.
    type F: Copy;
    /// Does a task, compiled for this instruction set.
    fn call(self, task: impl Task);
    /// Sixteen times the same number.
    fn splat(self, x: f32) -> Self::F;
    /// The numbers of a line.
    fn load(self, line: &Line) -> Self::F;
    /// Writes a line.
    fn store(self, line: &mut Line, x: Self::F);
    /// Writes a line past the caches.
    fn stream(self, line: &mut Line, x: Self::F);
    /// `a + b`.
    fn add(self, a: Self::F, b: Self::F) -> Self::F;
    /// `a - b`.
    fn sub(self, a: Self::F, b: Self::F) -> Self::F;
    /// `a * b`.
    fn mul(self, a: Self::F, b: Self::F) -> Self::F;
    /// `a / b`.
    fn div(self, a: Self::F, b: Self::F) -> Self::F;
    /// `a * b + c`, rounded once.
    fn fma(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F;
    /// An exponent that `exp2` takes, and the fraction above its floor.
    fn fraction(self, x: Self::F) -> (Self::F, Self::F);
    /// `x * 2^floor(exponent)`, for x in [1, 2).
    fn scale(self, x: Self::F, exponent: Self::F) -> Self::F;
    /// The sum of the sixteen.
    fn sum(self, x: Self::F) -> f32;
}

/// AVX-512.
#[derive(Clone, Copy, Debug)]
pub struct Avx512(());

impl Avx512 {
    /// If the machine has it.
    pub fn detect() -> Option<Self> {
        (is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512dq")).then_some(Avx512(()))
    }
}

/// AVX2 and FMA.
#[derive(Clone, Copy, Debug)]
pub struct Avx2(());

impl Avx2 {
    /// If the machine has both.
    pub fn detect() -> Option<Self> {
        (is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")).then_some(Avx2(()))
    }
}

/// Functions of registers. Of AVX-512 each is one instruction; of AVX2 one on each half.
macro_rules! instructions {
    ($($name:ident($($x:ident),*) = $one:ident;)*) => {
        // SAFETY: `detect`, which alone makes this type, has asked the machine.
        $(#[inline(always)] fn $name(self, $($x: Self::F),*) -> Self::F { unsafe { $one($($x),*) } })*
    };
    (halves $($name:ident($($x:ident),*) = $one:ident;)*) => {
        $(#[inline(always)] fn $name(self, $($x: Self::F),*) -> Self::F {
            // SAFETY: `detect`, which alone makes this type, has asked the machine.
            unsafe { [$one($($x[0]),*), $one($($x[1]),*)] }
        })*
    };
}

impl Vector for Avx512 {
    type F = __m512;

    fn call(self, task: impl Task) {
        #[target_feature(enable = "avx512f,avx512dq")]
        fn compiled(v: Avx512, task: impl Task) {
            task.run(v);
        }
        // SAFETY: `detect` has asked the machine.
        unsafe { compiled(self, task) }
    }

    #[inline(always)]
    fn splat(self, x: f32) -> __m512 {
        // SAFETY: `detect` has asked the machine.
        unsafe { _mm512_set1_ps(x) }
    }

    #[inline(always)]
    fn load(self, line: &Line) -> __m512 {
        // SAFETY: `detect` has asked the machine; a line is aligned and has as many bytes as the register.
        unsafe { _mm512_load_ps(line.0.as_ptr()) }
    }

    #[inline(always)]
    fn store(self, line: &mut Line, x: __m512) {
        // SAFETY: as for `load`.
        unsafe { _mm512_store_ps(line.0.as_mut_ptr(), x) }
    }

    #[inline(always)]
    fn stream(self, line: &mut Line, x: __m512) {
        // SAFETY: as for `load`. Callers `fence` before another thread reads.
        unsafe { _mm512_stream_ps(line.0.as_mut_ptr(), x) }
    }

    instructions! {
        add(a, b) = _mm512_add_ps;
        sub(a, b) = _mm512_sub_ps;
        mul(a, b) = _mm512_mul_ps;
        div(a, b) = _mm512_div_ps;
        fma(a, b, c) = _mm512_fmadd_ps;
        scale(x, exponent) = _mm512_scalef_ps;
    }

    #[inline(always)]
    fn fraction(self, x: __m512) -> (__m512, __m512) {
        // SAFETY: `detect` has asked the machine.
        (x, unsafe { _mm512_reduce_ps::<{ _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC }>(x) })
    }

    #[inline(always)]
    fn sum(self, x: __m512) -> f32 {
        // SAFETY: `detect` has asked the machine.
        unsafe { _mm512_reduce_add_ps(x) }
    }
}

impl Vector for Avx2 {
    type F = [__m256; 2];

    fn call(self, task: impl Task) {
        #[target_feature(enable = "avx2,fma")]
        fn compiled(v: Avx2, task: impl Task) {
            task.run(v);
        }
        // SAFETY: `detect` has asked the machine.
        unsafe { compiled(self, task) }
    }

    #[inline(always)]
    fn splat(self, x: f32) -> Self::F {
        // SAFETY: `detect` has asked the machine.
        [unsafe { _mm256_set1_ps(x) }; 2]
    }

    #[inline(always)]
    fn load(self, line: &Line) -> Self::F {
        // SAFETY: `detect` has asked the machine; each half of a line is aligned and has as many bytes as the register.
        unsafe { [_mm256_load_ps(line.0.as_ptr()), _mm256_load_ps(line.0[LANES / 2..].as_ptr())] }
    }

    #[inline(always)]
    fn store(self, line: &mut Line, [low, high]: Self::F) {
        // SAFETY: as for `load`.
        unsafe {
            _mm256_store_ps(line.0.as_mut_ptr(), low);
            _mm256_store_ps(line.0[LANES / 2..].as_mut_ptr(), high);
        }
    }

    #[inline(always)]
    fn stream(self, line: &mut Line, [low, high]: Self::F) {
        // SAFETY: as for `load`. Callers `fence` before another thread reads.
        unsafe {
            _mm256_stream_ps(line.0.as_mut_ptr(), low);
            _mm256_stream_ps(line.0[LANES / 2..].as_mut_ptr(), high);
        }
    }

    instructions! { halves
        add(a, b) = _mm256_add_ps;
        sub(a, b) = _mm256_sub_ps;
        mul(a, b) = _mm256_mul_ps;
        div(a, b) = _mm256_div_ps;
        fma(a, b, c) = _mm256_fmadd_ps;
    }

    /// There is no instruction that scales, so the exponent stays within those of normal numbers.
    #[inline(always)]
    fn fraction(self, x: Self::F) -> (Self::F, Self::F) {
        // SAFETY: `detect` has asked the machine.
        let x = x.map(|x| unsafe { _mm256_max_ps(_mm256_min_ps(x, _mm256_set1_ps(127.5)), _mm256_set1_ps(-126.0)) });
        // SAFETY: the same.
        (x, x.map(|x| unsafe { _mm256_sub_ps(x, _mm256_floor_ps(x)) }))
    }

    #[inline(always)]
    fn scale(self, x: Self::F, exponent: Self::F) -> Self::F {
        let half = |x, exponent| {
            // SAFETY: `detect` has asked the machine.
            unsafe {
                let exponent = _mm256_slli_epi32::<23>(_mm256_cvtps_epi32(_mm256_floor_ps(exponent)));
                _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(x), exponent))
            }
        };
        [half(x[0], exponent[0]), half(x[1], exponent[1])]
    }

    #[inline(always)]
    fn sum(self, [low, high]: Self::F) -> f32 {
        // SAFETY: `detect` has asked the machine.
        unsafe {
            let x = _mm256_add_ps(low, high);
            let x = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps::<1>(x));
            let x = _mm_add_ps(x, _mm_movehl_ps(x, x));
            _mm_cvtss_f32(_mm_add_ss(x, _mm_movehdup_ps(x)))
        }
    }
}

/// Fetches a line into the first cache.
#[inline(always)]
pub fn prefetch(line: &Line) {
    // SAFETY: every x86-64 has it.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(line.0.as_ptr().cast()) }
}

/// Lets other threads see what was streamed before what is written after this.
pub fn fence() {
    // SAFETY: every x86-64 has it.
    unsafe { _mm_sfence() }
}
