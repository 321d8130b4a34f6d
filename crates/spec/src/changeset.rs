//! From the result of one workspace to changesets: the rendered template, and which files go to which branch.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::template::{FieldError, Scope, TemplateError, render_field};
use crate::{
    Author, ChangesetTemplate, Published, PublishedState, TemplateContext, TransformGroup, glob,
};

/// A changeset as it is to be: nothing in it is a template any more, but for `${{ batch_change_link }}` in the body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChangesetSpec {
    pub repository: String,
    pub title: String,
    pub body: String,
    pub branch: String,
    pub commit_message: String,
    /// `None`: whoever publishes it.
    pub author: Option<Author>,
    /// `None`: as the server is configured.
    pub fork: Option<bool>,
    /// `None`: decided in the UI.
    pub published: Option<PublishedState>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reviewers: Vec<String>,
}

/// Which changeset a file goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recipient {
    /// The changeset of the template.
    Template,
    /// The group at this index of `transformChanges`.
    Group(usize),
}

/// Files that belong into one changeset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangesetGroup {
    pub recipient: Recipient,
    /// In the order in which they were given.
    pub files: Vec<String>,
}

/// Renders the template for one workspace; every field is trimmed.
pub fn render_changeset(
    template: &ChangesetTemplate,
    context: &TemplateContext,
) -> Result<ChangesetSpec, FieldError> {
    let render = |field: &str, text: &str, scope: Scope| {
        let field = || format!("changesetTemplate.{field}");
        render_field(&field, text, context, scope).map(|text| text.trim().to_owned())
    };
    let needed = |field: &str, text: &str| {
        let rendered = render(field, text, Scope::Changeset)?;
        if rendered.is_empty() {
            let error = TemplateError::whole("the result is empty".to_owned());
            return Err(FieldError { field: format!("changesetTemplate.{field}"), error });
        }
        Ok(rendered)
    };
    let branch = needed("branch", &template.branch)?;
    let author = template.author.as_ref().map(|author| {
        let name = needed("commit.author.name", &author.name)?;
        Ok(Author { name, email: needed("commit.author.email", &author.email)? })
    });
    let repository = context.repository.name.clone();
    // What renders to nothing is left out, so that a template can decide.
    let list = |field: &str, texts: &[String]| -> Result<Vec<String>, FieldError> {
        let rendered = texts.iter().map(|text| render(field, text, Scope::Changeset));
        let rendered: Result<Vec<String>, FieldError> = rendered.collect();
        Ok(rendered?.into_iter().filter(|text| !text.is_empty()).collect())
    };
    Ok(ChangesetSpec {
        labels: list("labels", &template.labels)?,
        reviewers: list("reviewers", &template.reviewers)?,
        title: needed("title", &template.title)?,
        body: render("body", &template.body, Scope::ChangesetBody)?,
        commit_message: needed("commit.message", &template.commit_message)?,
        author: author.transpose()?,
        fork: template.fork,
        published: published_for(&template.published, &repository, &branch),
        repository,
        branch,
    })
}

/// Renders the template and splits the files of one workspace: one changeset with its files for each group that got any.
pub fn render_changesets(
    template: &ChangesetTemplate,
    groups: &[TransformGroup],
    files: &[String],
    context: &TemplateContext,
) -> Result<Vec<(ChangesetSpec, Vec<String>)>, FieldError> {
    let whole = render_changeset(template, context)?;
    let mut branches = BTreeSet::new();
    let mut changesets = Vec::new();
    for ChangesetGroup { recipient, files } in split_files(groups, &whole.repository, files) {
        let mut changeset = whole.clone();
        if let Recipient::Group(index) = recipient {
            changeset.branch.clone_from(&groups[index].branch);
            let branch = &changeset.branch;
            changeset.published = published_for(&template.published, &whole.repository, branch);
        }
        // Only now is it known what the template's branch renders to.
        if !branches.insert(changeset.branch.clone()) {
            let message = format!(
                "two changesets of `{}` would have the branch `{}`",
                whole.repository, changeset.branch
            );
            let field = match recipient {
                Recipient::Template => "changesetTemplate.branch".to_owned(),
                Recipient::Group(index) => format!("transformChanges.group[{index}].branch"),
            };
            return Err(FieldError { field, error: TemplateError::whole(message) });
        }
        changesets.push((changeset, files));
    }
    Ok(changesets)
}

/// Which files go where: each to the last group of this repository whose directory it lies in, the others to the template's
/// changeset. Groups without files are left out; the template's changeset comes first.
pub fn split_files(
    groups: &[TransformGroup],
    repository: &str,
    files: &[String],
) -> Vec<ChangesetGroup> {
    let of_repository = |group: &TransformGroup| {
        group.repository.as_ref().is_none_or(|name| name.is_empty() || name == repository)
    };
    let mut split: Vec<Vec<String>> = vec![Vec::new(); groups.len() + 1];
    for file in files {
        let holds =
            |group: &TransformGroup| of_repository(group) && lies_in(file, &group.directory);
        // The template's changeset has slot 0, group `i` has slot `i + 1`.
        let slot = groups.iter().rposition(holds).map_or(0, |index| index + 1);
        split[slot].push(file.clone());
    }
    let groups = split.into_iter().enumerate().filter(|(_, files)| !files.is_empty());
    let recipient = |slot: usize| slot.checked_sub(1).map_or(Recipient::Template, Recipient::Group);
    groups.map(|(slot, files)| ChangesetGroup { recipient: recipient(slot), files }).collect()
}

/// Whether the file lies in the directory: a prefix that ends where a part of the path ends.
fn lies_in(file: &str, directory: &str) -> bool {
    let directory = directory.trim_start_matches("./").trim_matches('/');
    if directory.is_empty() || directory == "." {
        return true;
    }
    file.strip_prefix(directory).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Whether the changeset is published: the last match wins. A pattern may end in `@branch`.
pub fn published_for(
    published: &Published,
    repository: &str,
    branch: &str,
) -> Option<PublishedState> {
    let matches = |pattern: &str| {
        let (name, wanted) = match pattern.split_once('@') {
            None => (pattern, None),
            Some((name, wanted)) => (name, Some(wanted)),
        };
        glob::Glob::parse(name).is_ok_and(|glob| glob.matches(repository))
            && wanted.is_none_or(|wanted| wanted.is_empty() || wanted == branch)
    };
    published.0.iter().rfind(|(pattern, _)| matches(pattern)).map(|(_, state)| *state)
}

#[cfg(test)]
mod tests;
