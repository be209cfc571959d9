//! Whether this machine's processor has an instruction that multiplies bytes and adds the products in 32 bits, with which products in
//! eight bits are both exact and faster than in `f32`.

/// Whether it has one. On ARM the instructions that the runtime uses are exact on every processor.
#[cfg(target_arch = "x86_64")]
pub(crate) fn is_here() -> bool {
    is_x86_feature_detected!("avx512vnni") || is_x86_feature_detected!("avxvnni")
}

/// Whether it has one. On ARM the instructions that the runtime uses are exact on every processor.
#[cfg(not(target_arch = "x86_64"))]
pub(crate) fn is_here() -> bool {
    true
}
