//! What a subscriber asks a publisher's node for: the content of *subscribe*.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{InvalidPolicy, Policy};
use crate::codec::{Encoding, Payload, Value};
use crate::id::{Pattern, check_name};
use crate::limits;

#[cfg(test)]
mod tests;

/// A subscription as it is asked for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Wish {
    /// Which names.
    pub pattern: Pattern,
    /// What happens when the subscriber is too slow.
    pub policy: Policy,
    /// How many events of the past it wants of each name at its first attachment, if the publisher keeps them. Default 0.
    pub history: u32,
    /// Whether it wants what it has missed sent again, if the publisher still has it.
    pub recover: bool,
    /// How far it has heard each name in this epoch of the publisher. `None`: this is the first attachment.
    pub positions: Option<BTreeMap<Arc<str>, u64>>,
    /// The group of which one member gets each event.
    pub shared: Option<Arc<str>>,
}

/// A content of *subscribe* that cannot be meant.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum BadWish {
    /// It is no map with text keys, or a key is there twice.
    #[error("what a subscriber asks for is a map with text keys, each of them once")]
    Shape,
    /// It does not say which names.
    #[error("`pattern` is missing: which events?")]
    NoPattern,
    /// A known key has a value of another form.
    #[error("`{0}` has another form")]
    Value(&'static str),
    /// The policy is none.
    #[error("`policy`: {0}")]
    Policy(#[from] InvalidPolicy),
    /// There are more positions than a subscriber may tell.
    #[error(
        "`positions` has at most {} names, of {} bytes together",
        limits::EVENT_POSITIONS_MAX,
        limits::EVENT_POSITIONS_BYTES_MAX
    )]
    TooManyPositions,
}

impl Wish {
    /// Every event of the names, from now on, in a ring of the default size.
    pub fn new(pattern: Pattern) -> Wish {
        Wish { pattern, policy: Policy::default(), history: 0, recover: false, positions: None, shared: None }
    }

    /// Reads the content of *subscribe*. Keys that are not known are skipped.
    ///
    /// # Errors
    /// [`BadWish`] names the key that is at fault.
    pub fn read(content: &Payload) -> Result<Wish, BadWish> {
        let Ok(Value::Map(entries)) = content.decode() else { return Err(BadWish::Shape) };
        let mut keys = BTreeMap::new();
        for (key, value) in entries {
            let Value::Text(key) = key else { return Err(BadWish::Shape) };
            if keys.insert(key, value).is_some() {
                return Err(BadWish::Shape);
            }
        }
        // A key with null is one that is not there.
        let mut take = |key: &str| keys.remove(key).filter(|value| *value != Value::Null);
        let pattern = text(take("pattern").ok_or(BadWish::NoPattern)?, "pattern")?;
        let mut wish = Wish::new(pattern.parse().map_err(|_| BadWish::Value("pattern"))?);
        if let Some(policy) = take("policy") {
            wish.policy = text(policy, "policy")?.parse()?;
        }
        if let Some(history) = take("history") {
            wish.history = u32::try_from(number(&history, "history")?).unwrap_or(u32::MAX);
        }
        if let Some(recover) = take("recover") {
            let Value::Bool(recover) = recover else { return Err(BadWish::Value("recover")) };
            wish.recover = recover;
        }
        if let Some(positions) = take("positions") {
            wish.positions = Some(read_positions(positions)?);
        }
        if let Some(shared) = take("shared") {
            let shared = text(shared, "shared")?;
            check_name(&shared).map_err(|_| BadWish::Value("shared"))?;
            wish.shared = Some(shared.into());
        }
        Ok(wish)
    }

    /// The content of *subscribe*.
    pub fn encode(&self, encoding: Encoding) -> Payload {
        let mut entries = vec![("pattern", Value::from(self.pattern.as_str()))];
        if self.policy != Policy::default() {
            entries.push(("policy", self.policy.to_string().into()));
        }
        if self.history > 0 {
            entries.push(("history", self.history.into()));
        }
        if self.recover {
            entries.push(("recover", true.into()));
        }
        if let Some(positions) = &self.positions {
            let positions = positions.iter().map(|(name, seq)| (Value::from(&**name), Value::from(*seq)));
            entries.push(("positions", Value::Map(positions.collect())));
        }
        if let Some(shared) = &self.shared {
            entries.push(("shared", Value::from(&**shared)));
        }
        let map = Value::Map(entries.into_iter().map(|(key, value)| (key.into(), value)).collect());
        Payload::encode(&map, encoding).expect("texts and numbers, which every codec carries")
    }
}

fn read_positions(value: Value) -> Result<BTreeMap<Arc<str>, u64>, BadWish> {
    let Value::Map(entries) = value else { return Err(BadWish::Value("positions")) };
    let mut bytes = 0_usize;
    let mut positions = BTreeMap::new();
    for (name, seq) in entries {
        let name = text(name, "positions")?;
        check_name(&name).map_err(|_| BadWish::Value("positions"))?;
        bytes = bytes.saturating_add(name.len());
        if positions.len() >= limits::EVENT_POSITIONS_MAX || bytes > limits::EVENT_POSITIONS_BYTES_MAX {
            return Err(BadWish::TooManyPositions);
        }
        positions.insert(name.into(), number(&seq, "positions")?);
    }
    Ok(positions)
}

fn text(value: Value, key: &'static str) -> Result<String, BadWish> {
    match value {
        Value::Text(text) => Ok(text),
        _ => Err(BadWish::Value(key)),
    }
}

fn number(value: &Value, key: &'static str) -> Result<u64, BadWish> {
    match value {
        Value::Int(number) => u64::try_from(*number).map_err(|_| BadWish::Value(key)),
        _ => Err(BadWish::Value(key)),
    }
}
