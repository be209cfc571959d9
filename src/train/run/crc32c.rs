//! CRC-32C (Castagnoli), the checksum of TensorBoard's records and of checkpoints. Takes bytes as they come; gives 32
//! bits. Called by `events` and `checkpoint`.

/// The polynomial of RFC 3720, appendix B.4, its bits reversed.
const POLYNOMIAL: u32 = 0x82F6_3B78;

const TABLE: [u32; 256] = table();

const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut remainder = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            remainder = if remainder & 1 == 1 { (remainder >> 1) ^ POLYNOMIAL } else { remainder >> 1 };
            bit += 1;
        }
        table[byte] = remainder;
        byte += 1;
    }
    table
}

/// A checksum under way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Crc32c(u32);

impl Crc32c {
    /// Of no bytes yet.
    pub(super) fn new() -> Self {
        Self(!0)
    }

    /// Goes on with these bytes.
    pub(super) fn update(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = TABLE[usize::from(self.0.to_le_bytes()[0] ^ byte)] ^ (self.0 >> 8);
        }
    }

    /// The checksum.
    pub(super) fn value(self) -> u32 {
        !self.0
    }
}

/// The checksum of bytes that are there at once.
pub(super) fn of(bytes: &[u8]) -> u32 {
    let mut crc = Crc32c::new();
    crc.update(bytes);
    crc.value()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_rfc_3720() {
        assert_eq!(of(&[0; 32]), 0x8A91_36AA);
        assert_eq!(of(&[0xFF; 32]), 0x62A8_AB43);
        assert_eq!(of(&(0..32).collect::<Vec<u8>>()), 0x46DD_794E);
        assert_eq!(of(b"123456789"), 0xE306_9283);
    }

    #[test]
    fn pieces_give_what_the_whole_gives() {
        let mut crc = Crc32c::new();
        crc.update(b"1234");
        crc.update(b"");
        crc.update(b"56789");
        assert_eq!(crc.value(), of(b"123456789"));
    }
}
