//! Metrics of users, a row each.
//!
//! Filled from [`super::metrics::Evaluator`] and [`super::lists`], user by user or block by block; read by
//! [`super::bootstrap`]. A value that a user does not have (the AUC of a user who bought all candidates) is NaN, and is
//! left out of means.

/// Rows of metrics, in ascending order of their users.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PerUser {
    columns: usize,
    users: Vec<u32>,
    /// `users x columns`, row by row.
    values: Vec<f64>,
}

impl PerUser {
    /// No users yet, with so many metrics each.
    pub fn new(columns: usize) -> Self {
        Self { columns, users: Vec::new(), values: Vec::new() }
    }

    /// Adds a user. Users come in ascending order; missing values are NaN, superfluous ones are dropped.
    pub fn push(&mut self, user: u32, values: &[f64]) {
        self.users.push(user);
        self.values.extend_from_slice(&values[..values.len().min(self.columns)]);
        self.values.resize(self.users.len() * self.columns, f64::NAN);
    }

    /// Adds the users of another table, who come after these.
    pub fn append(&mut self, mut other: Self) {
        if self.columns == other.columns {
            self.users.append(&mut other.users);
            self.values.append(&mut other.values);
        } else {
            for row in 0..other.rows() {
                self.push(other.users[row], other.row(row));
            }
        }
    }

    /// Number of users.
    pub fn rows(&self) -> usize {
        self.users.len()
    }

    /// Number of metrics.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// The users.
    pub fn users(&self) -> &[u32] {
        &self.users
    }

    /// One user's metrics.
    pub fn row(&self, row: usize) -> &[f64] {
        &self.values[row * self.columns..(row + 1) * self.columns]
    }

    /// One metric of all users.
    pub fn column(&self, column: usize) -> impl Iterator<Item = f64> {
        (0..self.rows()).map(move |row| self.row(row)[column])
    }

    /// The mean of each metric over the users who have it; `None` where nobody has.
    pub fn means(&self) -> Vec<Option<f64>> {
        let (mut sums, mut counts) = (vec![0.0; self.columns], vec![0usize; self.columns]);
        for row in 0..self.rows() {
            for (column, value) in self.row(row).iter().enumerate().filter(|(_, value)| !value.is_nan()) {
                sums[column] += value;
                counts[column] += 1;
            }
        }
        sums.iter().zip(counts).map(|(sum, count)| (count > 0).then(|| sum / count as f64)).collect()
    }

    /// What each user who is in both has more here than there, metric by metric. Metrics are paired by their place.
    #[must_use]
    pub fn less(&self, other: &Self) -> Self {
        let mut differences = Self::new(self.columns.min(other.columns));
        let mut row = vec![0.0; differences.columns];
        let mut theirs = 0;
        for (mine, user) in self.users.iter().enumerate() {
            while other.users.get(theirs).is_some_and(|their| their < user) {
                theirs += 1;
            }
            if other.users.get(theirs) == Some(user) {
                for (difference, (a, b)) in row.iter_mut().zip(self.row(mine).iter().zip(other.row(theirs))) {
                    *difference = a - b;
                }
                differences.push(*user, &row);
            }
        }
        differences
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn means_leave_out_what_is_missing() {
        let mut table = PerUser::new(3);
        table.push(1, &[1.0, f64::NAN, f64::NAN]);
        table.push(4, &[2.0, 5.0]);
        assert_eq!(table.means(), [Some(1.5), Some(5.0), None]);
        assert_eq!(table.column(0).collect::<Vec<_>>(), [1.0, 2.0]);
        assert_eq!(PerUser::new(1).means(), [None]);
    }

    #[test]
    fn differences_are_of_users_in_both() {
        let table = |rows: &[(u32, f64)]| {
            let mut table = PerUser::new(1);
            rows.iter().for_each(|(user, value)| table.push(*user, &[*value]));
            table
        };
        let (a, b) = (table(&[(1, 5.0), (3, 6.0), (7, 7.0)]), table(&[(0, 9.0), (3, 2.0), (7, 8.0), (9, 9.0)]));
        assert_eq!(a.less(&b), table(&[(3, 4.0), (7, -1.0)]));
        let mut both = table(&[(1, 5.0)]);
        both.append(table(&[(3, 6.0), (7, 7.0)]));
        assert_eq!(both, a);
    }
}
