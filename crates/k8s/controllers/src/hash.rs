//! A short name for what an object says: the same for the same content, whoever asks and whenever.

use serde::Serialize;

/// Letters and digits that spell no words and are not mistaken for one another.
const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

/// The name of some content; `collisions` gives another one where the first is taken by other content.
pub fn of(content: &impl Serialize, collisions: i32) -> String {
    // The keys of objects are in order, since serde_json keeps maps sorted.
    let text = serde_json::to_value(content).unwrap_or_default().to_string();
    let mut hash = fnv(text.as_bytes());
    if collisions != 0 {
        hash = hash.wrapping_mul(PRIME) ^ fnv(&collisions.to_le_bytes());
    }
    hash.to_string().bytes().map(|digit| ALPHABET[digit as usize % ALPHABET.len()] as char).collect()
}

const PRIME: u32 = 16_777_619;

fn fnv(bytes: &[u8]) -> u32 {
    bytes.iter().fold(2_166_136_261, |hash: u32, byte| (hash ^ u32::from(*byte)).wrapping_mul(PRIME))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn names_stay_as_they_are() {
        let content = json!({"b": 1, "a": [true]});
        assert_eq!(of(&content, 0), of(&json!({"a": [true], "b": 1}), 0));
        assert_ne!(of(&content, 0), of(&content, 1));
        assert_ne!(of(&content, 1), of(&content, 2));
        // Sets made by an earlier version must be found again by name.
        assert_eq!(of(&json!({}), 0), "5859f96865");
    }
}
