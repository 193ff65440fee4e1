//! What comes back from a shell: output with marks in it.
//!
//! A mark is `NUL NONCE SPACE words NUL`. The nonce is random and of this connection, so nothing that a command says is taken for one.

/// A piece of what a shell says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// Output.
    Data(Vec<u8>),
    /// The words of a mark.
    Mark(String),
}

/// No mark has more bytes than this between its nonce and its end.
const LONGEST: usize = 64;

/// Takes the next piece off the front of `buffer`; none if more must come first.
pub(super) fn take(buffer: &mut Vec<u8>, nonce: &str) -> Option<Piece> {
    let begin = format!("\0{nonce} ").into_bytes();
    match find(buffer, &begin) {
        0 => {}
        at => return data(buffer, at),
    }
    if buffer.len() < begin.len() {
        return None;
    }
    let words = &buffer[begin.len()..];
    match words.iter().take(LONGEST).position(|byte| *byte == 0) {
        Some(end) => {
            let text = String::from_utf8_lossy(&words[..end]).into_owned();
            buffer.drain(..=begin.len() + end);
            Some(Piece::Mark(text))
        }
        None if words.len() < LONGEST => None,
        // No mark after all.
        None => data(buffer, begin.len()),
    }
}

fn data(buffer: &mut Vec<u8>, length: usize) -> Option<Piece> {
    let rest = buffer.split_off(length);
    let data = std::mem::replace(buffer, rest);
    (!data.is_empty()).then_some(Piece::Data(data))
}

/// Where the first `needle` begins, or could begin at the end of `text`, or the length of `text`.
fn find(text: &[u8], needle: &[u8]) -> usize {
    let mut from = 0;
    while let Some(at) = text[from..].iter().position(|byte| *byte == needle[0]).map(|at| from + at) {
        let there = &text[at..text.len().min(at + needle.len())];
        if needle.starts_with(there) {
            return at;
        }
        from = at + 1;
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The pieces of a text that arrives in parts of this size, neighbouring data joined.
    fn pieces(text: &[u8], size: usize) -> (Vec<Piece>, Vec<u8>) {
        let (mut buffer, mut pieces) = (Vec::new(), Vec::new());
        for part in text.chunks(size) {
            buffer.extend_from_slice(part);
            while let Some(piece) = take(&mut buffer, "n0nce") {
                match (pieces.last_mut(), piece) {
                    (Some(Piece::Data(before)), Piece::Data(data)) => before.extend(data),
                    (_, piece) => pieces.push(piece),
                }
            }
        }
        (pieces, buffer)
    }

    #[test]
    fn marks_are_found_however_the_text_is_split() {
        let data = |text: &[u8]| Piece::Data(text.to_vec());
        let mark = |text: &str| Piece::Mark(text.into());
        let long = [b"\0n0nce ".as_slice(), &[b'x'; 80], b"\0"].concat();
        let table: &[(&[u8], Vec<Piece>, &[u8])] = &[
            (b"", vec![], b""),
            (b"plain\xff", vec![data(b"plain\xff")], b""),
            (b"a\0n0nce 1 s 0\0b", vec![data(b"a"), mark("1 s 0"), data(b"b")], b""),
            (b"\0n0nce 1 b\0\0n0nce 1 e\0", vec![mark("1 b"), mark("1 e")], b""),
            (b"\0\0\0n0nce 1 e\0", vec![data(b"\0\0"), mark("1 e")], b""),
            (b"\0n0nc\0n0nce 1 e\0", vec![data(b"\0n0nc"), mark("1 e")], b""),
            (b"x\0n0n", vec![data(b"x")], b"\0n0n"),
            (b"x\0n0nce 1", vec![data(b"x")], b"\0n0nce 1"),
            (&long, vec![data(&long[..long.len() - 1])], b"\0"),
        ];
        for (text, expected, rest) in table {
            for size in 1..=text.len().max(1) {
                assert_eq!(
                    pieces(text, size),
                    (expected.iter().map(copy).collect(), rest.to_vec()),
                    "{text:?} by {size}"
                );
            }
        }
    }

    fn copy(piece: &Piece) -> Piece {
        match piece {
            Piece::Data(data) => Piece::Data(data.clone()),
            Piece::Mark(words) => Piece::Mark(words.clone()),
        }
    }
}
