//! `numeric` in binary: takes a decimal in digits; appends PostgreSQL's groups of four.

use bytes::{BufMut, BytesMut};

use crate::server::postgres::error::{PgError, codes};

const NEGATIVE: u16 = 0x4000;

/// Appends a decimal such as `-12.340`: sign, digits, and perhaps a point and digits.
///
/// # Errors
/// It has more digits than a `numeric` can have.
pub(super) fn write(output: &mut BytesMut, decimal: &str) -> Result<(), PgError> {
    let too_long = |_| PgError::error(codes::NUMERIC_VALUE_OUT_OF_RANGE, "a decimal has too many digits");
    let (sign, digits) = match decimal.strip_prefix('-') {
        Some(digits) => (NEGATIVE, digits),
        None => (0, decimal),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let whole = whole.trim_start_matches('0').as_bytes();
    let scale = u16::try_from(fraction.len()).map_err(too_long)?;
    let fraction = fraction.trim_end_matches('0').as_bytes();
    // A group of four digits, of which the first may lack some before it, and the last some behind it.
    let before = whole.len().div_ceil(4);
    let number = |digits: &[u8]| digits.iter().fold(0, |number, digit| number * 10 + u16::from(digit - b'0'));
    let wholes = whole.rchunks(4).rev().map(number);
    let fractions = fraction.chunks(4).map(|digits| number(digits) * 10_u16.pow(4 - digits.len() as u32));
    let leading = if before == 0 { fractions.clone().take_while(|group| *group == 0).count() } else { 0 };
    let trailing =
        if fraction.is_empty() { whole.rchunks(4).take_while(|digits| number(digits) == 0).count() } else { 0 };
    let groups = wholes.chain(fractions).skip(leading);
    let count = before + fraction.len().div_ceil(4) - leading - trailing;
    let weight = i64::try_from(before).unwrap_or(i64::MAX) - 1 - i64::try_from(leading).unwrap_or(i64::MAX);
    output.put_u16(u16::try_from(count).map_err(too_long)?);
    output.put_i16(if count == 0 { 0 } else { i16::try_from(weight).map_err(too_long)? });
    output.put_u16(if count == 0 { 0 } else { sign });
    output.put_u16(scale);
    groups.take(count).for_each(|group| output.put_u16(group));
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_groups_of_four_digits() {
        // As `SELECT numeric_send(...)` of PostgreSQL has them: count, weight, sign, scale, groups.
        for (decimal, expected) in [
            ("0", &[0, 0, 0, 0][..]),
            ("0.00", &[0, 0, 0, 2]),
            ("-0.0", &[0, 0, 0, 1]),
            ("1", &[1, 0, 0, 0, 1]),
            ("-12.340", &[2, 0, NEGATIVE, 3, 12, 3400]),
            ("10000", &[1, 1, 0, 0, 1]),
            ("123456.789", &[3, 1, 0, 3, 12, 3456, 7890]),
            ("0.0001", &[1, 0xffff, 0, 4, 1]),
            ("0.00001", &[1, 0xfffe, 0, 5, 1000]),
            ("100000000.5", &[4, 2, 0, 1, 1, 0, 0, 5000]),
        ] {
            let mut output = BytesMut::new();
            write(&mut output, decimal).unwrap();
            let words: Vec<u16> = output.chunks(2).map(|word| u16::from_be_bytes([word[0], word[1]])).collect();
            assert_eq!(words, expected, "{decimal}");
        }
    }
}
