//! What training is given, and which of it an objective reads: takes record batches, gives the tables and the roles of
//! their columns.

use debut_udfs::finetune::ExampleForm;
use debut_udfs::model::Modality;
use debut_udfs::options::Inputs;
use debut_udfs::trainer::Table;

use super::role::Role;

/// The tables of a run.
pub type Tables = Inputs<Table>;

/// The roles of each table's columns, for the tables that examples of this form are made of: with `examples` given, of
/// these. `modality` is what the encoder reads.
pub(super) fn layout(form: ExampleForm, examples: bool, modality: Modality) -> Inputs<Layout> {
    use Role::{Image, Item, Label, Negative, Other, Positive, Text, Timestamp, User, Weight};
    if form.reads_interactions() && !examples {
        let optional: &[Role] = if form.is_of_user() { &[Label, Weight, Timestamp] } else { &[Weight, Timestamp] };
        return Inputs {
            interactions: Some(Layout { table: "interactions", required: &[User, Item], optional }),
            items: Some(Layout { table: "items", required: &[Item, Text], optional: &[] }),
            ..Inputs::default()
        };
    }
    let (required, optional): (&[Role], &[Role]) = match form {
        form if form.is_of_one_input() && modality == Modality::Bytes => (&[Image, Label], &[Weight, Timestamp]),
        form if form.is_of_one_input() && modality == Modality::TextAndBytes => {
            (&[Text, Image, Label], &[Weight, Timestamp])
        }
        ExampleForm::Pairs if modality == Modality::TextAndBytes => (&[Text, Image], &[Weight, Timestamp]),
        ExampleForm::Pairs => (&[Text, Positive], &[Negative, Weight, Timestamp]),
        ExampleForm::Texts => (&[Text], &[Timestamp]),
        ExampleForm::ScoredPairs => (&[Text, Other, Label], &[Weight, Timestamp]),
        _ => (&[Text, Label], &[Weight, Timestamp]),
    };
    let examples = Some(Layout { table: "examples", required, optional });
    Inputs { examples, ..Inputs::default() }
}

/// The roles of a table's columns.
#[derive(Debug, Clone, Copy)]
pub(super) struct Layout {
    /// The table's name.
    pub(super) table: &'static str,
    /// Columns that must be there.
    pub(super) required: &'static [Role],
    /// Columns that may be there.
    pub(super) optional: &'static [Role],
}
