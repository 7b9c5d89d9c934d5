//! The container of a `.dlx` file: named sections, each with its length and hash.
//!
//! ```text
//! "\x89dlx\r\n\x1a\n"                    magic number; detects text conversion and truncation
//! version  u32                          of this container
//! count    u32                          number of sections
//! count *  { name [u8; 16], length u64, BLAKE3 of the content [u8; 32] }
//! BLAKE3 of everything before           [u8; 32]
//! the contents, one after another
//! ```
//! Numbers are little-endian. Nothing is allocated before the header's hash and the file's length agree with it.

use std::ops::Range;

use super::ArtefactError;

pub(super) const MAGIC: &[u8; 8] = b"\x89dlx\r\n\x1a\n";
const VERSION: u32 = 3;
const NAME: usize = 16;
const HASH: usize = 32;
const ENTRY: usize = NAME + 8 + HASH;
const HEADER: usize = MAGIC.len() + 8;
/// An upper bound on sections, checked before anything is allocated.
const MAX_SECTIONS: usize = 4096;

/// A file of these sections, in this order. Names have at most 16 bytes.
pub fn write(sections: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend(VERSION.to_le_bytes());
    bytes.extend((sections.len() as u32).to_le_bytes());
    for (name, content) in sections {
        let mut padded = [0u8; NAME];
        padded[..name.len()].copy_from_slice(name.as_bytes());
        bytes.extend(padded);
        bytes.extend((content.len() as u64).to_le_bytes());
        bytes.extend(blake3::hash(content).as_bytes());
    }
    let hash = blake3::hash(&bytes);
    bytes.extend(hash.as_bytes());
    for (_, content) in sections {
        bytes.extend(content);
    }
    bytes
}

/// Where the first section of a file with this many begins.
pub fn start(sections: usize) -> usize {
    HEADER + sections * ENTRY + HASH
}

/// The sections of a file, as ranges of its bytes.
///
/// # Errors
/// If it is not such a file, of another version, truncated or corrupted.
pub fn read(bytes: &[u8]) -> Result<Vec<(String, Range<usize>)>, ArtefactError> {
    let damaged = |what: &str| ArtefactError::Damaged(what.to_owned());
    if bytes.len() < HEADER || !bytes.starts_with(MAGIC) {
        return Err(ArtefactError::NotAnArtefact);
    }
    let number = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    let (version, count) = (number(MAGIC.len()), number(MAGIC.len() + 4) as usize);
    if version != VERSION {
        return Err(ArtefactError::Version { found: version, supported: VERSION });
    }
    if count > MAX_SECTIONS {
        return Err(damaged("its header"));
    }
    let end_of_table = HEADER + count * ENTRY;
    let hash = bytes.get(end_of_table..end_of_table + HASH).ok_or_else(|| damaged("its header"))?;
    if blake3::hash(&bytes[..end_of_table]).as_bytes() != hash {
        return Err(damaged("its header"));
    }
    let mut rest = &bytes[end_of_table + HASH..];
    let mut sections = vec![];
    for entry in bytes[HEADER..end_of_table].chunks_exact(ENTRY) {
        let (name, entry) = entry.split_at(NAME);
        let (length, hash) = entry.split_at(8);
        let end = name.iter().position(|&b| b == 0).unwrap_or(NAME);
        let name = String::from_utf8_lossy(&name[..end]).into_owned();
        let length = u64::from_le_bytes(length.try_into().expect("eight bytes"));
        let split = usize::try_from(length).ok().and_then(|n| rest.split_at_checked(n));
        let (content, after) = split.ok_or_else(|| damaged(&format!("section `{name}` (the file ends early)")))?;
        if blake3::hash(content).as_bytes() != hash {
            return Err(damaged(&format!("section `{name}`")));
        }
        let begin = bytes.len() - rest.len();
        sections.push((name, begin..begin + content.len()));
        rest = after;
    }
    if rest.is_empty() { Ok(sections) } else { Err(damaged("its end")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<u8> {
        write(&[
            ("source".to_owned(), b"model".to_vec()),
            ("weights".to_owned(), vec![]),
            ("x".to_owned(), vec![7; 100]),
        ])
    }

    #[test]
    fn sections_survive_a_round_trip() {
        let bytes = sample();
        let sections = read(&bytes).expect("it is whole");
        assert_eq!(sections[0].1.start, start(sections.len()));
        let sections: Vec<(String, &[u8])> = sections.into_iter().map(|(n, range)| (n, &bytes[range])).collect();
        let expected: [(String, &[u8]); 3] =
            [("source".into(), b"model"), ("weights".into(), b""), ("x".into(), &[7; 100])];
        assert_eq!(sections, expected);
    }

    #[test]
    fn every_flipped_bit_and_every_truncation_is_detected() {
        let bytes = sample();
        for i in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[i] ^= 1 << (i % 8);
            assert!(read(&damaged).is_err(), "byte {i}");
            assert!(read(&bytes[..i]).is_err(), "cut at {i}");
        }
        assert!(read(&[bytes.as_slice(), b"x"].concat()).is_err(), "something behind the end");
    }
}
