//! Numbers in the headers of files.

/// The unsigned number in the `N` bytes at `offset`, the lowest first. None beyond the end.
pub(super) fn le<const N: usize>(bytes: &[u8], offset: usize) -> Option<u64> {
    let field = bytes.get(offset..)?.first_chunk::<N>()?;
    Some(field.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

/// The unsigned number in the `N` bytes at `offset`, the highest first. None beyond the end.
pub(super) fn be<const N: usize>(bytes: &[u8], offset: usize) -> Option<u64> {
    let field = bytes.get(offset..)?.first_chunk::<N>()?;
    Some(field.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

/// Whether `bytes` has `part` at `offset`.
pub(super) fn has(bytes: &[u8], offset: usize, part: &[u8]) -> bool {
    bytes.get(offset..).is_some_and(|rest| rest.starts_with(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_in_both_orders() {
        let bytes = [1, 2, 3, 4, 5, 6, 7, 0xff];
        assert_eq!((le::<2>(&bytes, 0), be::<2>(&bytes, 0)), (Some(0x0201), Some(0x0102)));
        assert_eq!(le::<8>(&bytes, 0), Some(0xff07_0605_0403_0201));
        assert_eq!(be::<1>(&bytes, 7), Some(0xff));
        assert_eq!((le::<2>(&bytes, 7), be::<1>(&bytes, 8), be::<4>(&bytes, 99)), (None, None, None));
    }

    #[test]
    fn parts_beyond_the_end_are_not_there() {
        assert!(has(b"abc", 1, b"bc"));
        assert!(!has(b"abc", 1, b"bcd") && !has(b"abc", 9, b"a"));
    }
}
