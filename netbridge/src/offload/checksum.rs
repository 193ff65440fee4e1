//! The Internet checksum (RFC 1071).

/// The ones' complement sum of big-endian 16-bit words; a byte that is left over counts as if a zero came after it.
pub(super) fn sum(bytes: &[u8]) -> u16 {
    // Carries go around, so wider words and any byte order give the same sum, the latter but for its own byte order. 64 bits hold the
    // carries of more bytes than any frame has.
    let (words, rest) = bytes.as_chunks::<4>();
    let mut last = [0; 4];
    last[..rest.len()].copy_from_slice(rest);
    let total: u64 = words.iter().map(|word| u64::from(u32::from_ne_bytes(*word))).sum();
    u16::from_be(fold(total + u64::from(u32::from_ne_bytes(last))))
}

/// Adds the carries back until 16 bits hold the sum.
pub(super) fn fold(mut sum: u64) -> u16 {
    loop {
        match u16::try_from(sum) {
            Ok(folded) => return folded,
            Err(_) => sum = (sum & 0xffff) + (sum >> 16),
        }
    }
}

/// What a TCP or UDP header holds for this sum. It is never 0, which means none in UDP, but the other zero of ones' complement.
pub(super) fn transport(sum: u16) -> [u8; 2] {
    let checksum = if sum == 0xffff { 0xffff } else { !sum };
    checksum.to_be_bytes()
}
