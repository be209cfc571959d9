//! The frame around each record of a TensorFlow record file. Takes a record; gives it with its length and two checksums.
//!
//! Format: <https://www.tensorflow.org/tutorials/load_data/tfrecord#tfrecords_format_details>.

use crc32c::crc32c;

/// Length, its checksum, the record, its checksum; all numbers little-endian.
pub(super) fn frame(record: &[u8]) -> Vec<u8> {
    let length = (record.len() as u64).to_le_bytes();
    let mut frame = Vec::with_capacity(record.len() + 16);
    frame.extend(length);
    frame.extend(masked(&length).to_le_bytes());
    frame.extend(record);
    frame.extend(masked(record).to_le_bytes());
    frame
}

/// A checksum of bytes that hold checksums themselves says little; so the format turns and shifts it.
fn masked(bytes: &[u8]) -> u32 {
    crc32c(bytes).rotate_right(15).wrapping_add(0xA282_EAD8)
}
