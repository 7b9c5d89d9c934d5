//! Duplicate names in JSON: readers silently take one of the two, and which one differs.

use std::collections::HashSet;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// Any JSON in which no object has a duplicate name.
struct Unique;

/// Checks that no object of a JSON text has a duplicate name.
///
/// # Errors
/// If one has, with the location; or if the text is not JSON.
pub fn expect_unique(text: &[u8]) -> Result<(), serde_json::Error> {
    serde_json::from_slice::<Unique>(text).map(drop)
}

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Unique)
    }
}

impl<'de> Visitor<'de> for Unique {
    type Value = Unique;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Unique, A::Error> {
        let mut seen = HashSet::new();
        while let Some(name) = map.next_key::<String>()? {
            if seen.contains(&name) {
                return Err(A::Error::custom(format!("duplicate name `{name}`")));
            }
            map.next_value::<Unique>()?;
            seen.insert(name);
        }
        Ok(Unique)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Unique, A::Error> {
        while seq.next_element::<Unique>()?.is_some() {}
        Ok(Unique)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Unique, E> {
        Ok(Unique)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Unique, E> {
        Ok(Unique)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Unique, E> {
        Ok(Unique)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Unique, E> {
        Ok(Unique)
    }

    fn visit_str<E>(self, _: &str) -> Result<Unique, E> {
        Ok(Unique)
    }

    fn visit_unit<E>(self) -> Result<Unique, E> {
        Ok(Unique)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duplicate_name_is_found_at_every_depth() {
        for text in ["{\"a\":1,\"a\":2}", "[{\"b\":{\"a\":null,\"c\":[true],\"a\":\"x\"}}]", "{\"a\":1,\"\\u0061\":2}"]
        {
            assert!(expect_unique(text.as_bytes()).unwrap_err().to_string().contains("duplicate name `a`"), "{text}");
        }
        expect_unique(b"{\"a\":{\"a\":{\"b\":-1}},\"b\":[{\"a\":1.5},{\"a\":\"\"}]}").unwrap();
    }
}
