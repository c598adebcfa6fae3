//! The names of the subprotocols that a worker's connections speak: few, so a connection keeps a
//! number and not a name.

use std::num::NonZeroU8;

/// Names that are kept. Connections that speak others keep the name themselves.
const NAMES_MAX: usize = u8::MAX as usize;

/// The names of one worker, from number 1 on.
#[derive(Debug, Default)]
pub(crate) struct Subprotocols(Vec<Box<str>>);

impl Subprotocols {
    /// The number of a name; the name itself when there are too many.
    pub(crate) fn enter(&mut self, name: Box<str>) -> Result<NonZeroU8, Box<str>> {
        let known = self.0.iter().position(|known| *known == name);
        let index = known.unwrap_or(self.0.len());
        let number = u8::try_from(index + 1).ok().and_then(NonZeroU8::new);
        let Some(number) = number.filter(|_| index < NAMES_MAX) else {
            return Err(name);
        };
        if known.is_none() {
            self.0.push(name);
        }
        Ok(number)
    }

    /// The name of a number.
    pub(crate) fn name(&self, number: NonZeroU8) -> Option<&str> {
        self.0
            .get(usize::from(number.get()) - 1)
            .map(|name| &**name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_name_too_many_stays_with_its_connection() {
        let mut names = Subprotocols::default();
        for index in 0..NAMES_MAX {
            let name = format!("name-{index}");
            let number = names.enter(name.as_str().into()).unwrap();
            assert_eq!(names.name(number), Some(&*name));
            assert_eq!(names.enter(name.into()), Ok(number));
        }
        assert_eq!(names.enter("more".into()), Err("more".into()));
    }
}
