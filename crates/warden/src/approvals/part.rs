//! A part of what waits: in which jails, behind which entry, and how many at most. Only that is written out: for ten
//! thousand entries it takes far longer than to find it among them.

/// See the module.
pub struct Part<'a> {
    /// In which jails.
    pub has_jail: &'a dyn Fn(&str) -> bool,
    /// Behind the place of this entry: since when it waits, in milliseconds since the epoch, and its id.
    pub after: Option<(u64, String)>,
    /// So many at most.
    pub limit: usize,
}

impl std::fmt::Debug for Part<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { after, limit, .. } = self;
        f.debug_struct("Part").field("after", after).field("limit", limit).finish_non_exhaustive()
    }
}

impl Part<'_> {
    /// All of it.
    #[must_use]
    pub fn whole() -> Part<'static> {
        Part { has_jail: &|_| true, after: None, limit: usize::MAX }
    }

    /// Cuts it out of `all`, which are in the order of their places; and whether more of them come behind it.
    pub fn of<T>(
        &self,
        mut all: Vec<T>,
        jail: impl Fn(&T) -> &str,
        place: impl Fn(&T) -> (u64, String),
    ) -> (Vec<T>, bool) {
        if let Some(after) = &self.after {
            let begin = all.partition_point(|one| place(one) <= *after);
            all.drain(..begin);
        }
        all.retain(|one| (self.has_jail)(jail(one)));
        let more = all.len() > self.limit;
        all.truncate(self.limit);
        (all, more)
    }
}
