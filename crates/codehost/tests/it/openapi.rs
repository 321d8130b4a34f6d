//! What is sent to GitHub, and what the forge answers for it, against GitHub's published description of its API; and the
//! description's own examples against what we read. Needs npm to fetch it once.

use std::fs;
use std::path::Path;
use std::process::Command;

use codehost::{CodeHost, Credential, MergeMethod, NewPullRequest, PullRequestUpdate};
use serde_json::Value;
use testkit::code_host::{Checks, Dialect, Fault, Forge, Options, Request, Review};

use super::{github_app, host, new_pull, settings, start, token};

const PACKAGE: &str = "@octokit/openapi@23.0.2";

/// Kept in the target directory, not in the repository.
fn description() -> Option<Value> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("octokit-openapi-23.0.2");
    let file = folder.join("package/generated/api.github.com.json");
    if !file.exists() {
        fs::create_dir_all(&folder).unwrap();
        let script = format!(
            "npm pack {PACKAGE} --silent --fetch-retries=0 --fetch-timeout=60000 >/dev/null && \
             tar xzf *.tgz package/generated/api.github.com.json && rm -f *.tgz"
        );
        let output =
            Command::new("sh").args(["-c", &script]).current_dir(&folder).output().unwrap();
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            let said = said.lines().next().unwrap_or_default();
            eprintln!("skipped: npm does not give {PACKAGE}: {said}");
            return None;
        }
    }
    Some(serde_json::from_slice(&fs::read(file).unwrap()).unwrap())
}

struct Description(Value);

impl Description {
    fn resolve<'a>(&'a self, mut value: &'a Value) -> &'a Value {
        while let Some(reference) = value.get("$ref").and_then(Value::as_str) {
            value = self.0.pointer(reference.trim_start_matches('#')).expect("a reference leads");
        }
        value
    }

    /// The path of the description that stands for this one, with fewest variables.
    fn template(&self, path: &str) -> Option<&str> {
        let parts: Vec<_> = path.split('/').collect();
        let is_variable = |part: &str| part.starts_with('{');
        let fits = |template: &&String| {
            let its: Vec<_> = template.split('/').collect();
            its.len() == parts.len()
                && its.iter().zip(&parts).all(|(its, part)| its == part || is_variable(its))
        };
        let all = self.0["paths"].as_object().unwrap().keys();
        all.filter(fits).min_by_key(|template| template.matches('{').count()).map(String::as_str)
    }

    fn operation(&self, method: &str, template: &str) -> &Value {
        &self.0["paths"][template][method.to_lowercase()]
    }

    fn example(&self, method: &str, template: &str, status: &str) -> String {
        let content = &self.operation(method, template)["responses"][status]["content"];
        let examples = content["application/json"]["examples"].as_object();
        let examples = examples.unwrap_or_else(|| panic!("{template} has no example"));
        self.resolve(examples.values().next().unwrap())["value"].to_string()
    }

    /// Complaints. `whole`: what is required has to be there.
    fn check(&self, schema: &Value, value: &Value, at: &str, whole: bool) -> Vec<String> {
        let schema = self.resolve(schema);
        if value.is_null() && schema["nullable"] == true {
            return Vec::new();
        }
        for word in ["anyOf", "oneOf"] {
            if let Some(choices) = schema[word].as_array() {
                let all: Vec<_> = choices.iter().map(|c| self.check(c, value, at, whole)).collect();
                return all.into_iter().min_by_key(Vec::len).unwrap_or_default();
            }
        }
        if let Some(parts) = schema["allOf"].as_array() {
            let all: Vec<_> = parts.iter().map(|p| self.check(p, value, at, whole)).collect();
            // A field may be known to one part only.
            let counts = |said: &&String| {
                !said.contains("there is no field") || all.iter().all(|part| part.contains(said))
            };
            return all.iter().flatten().filter(counts).cloned().collect();
        }
        let is_right = match schema["type"].as_str() {
            Some("object") => value.is_object(),
            Some("array") => value.is_array(),
            Some("string") => value.is_string(),
            Some("integer") => value.is_u64() || value.is_i64(),
            Some("number") => value.is_number(),
            Some("boolean") => value.is_boolean(),
            _ => true,
        };
        let mut wrong = Vec::new();
        let words = schema["enum"].as_array();
        if !is_right || words.is_some_and(|words| !words.contains(value)) {
            let wanted = words.map_or(&schema["type"], |_| &schema["enum"]);
            return vec![format!("{at}: {value} is not {wanted}")];
        }
        for (index, one) in value.as_array().into_iter().flatten().enumerate() {
            wrong.extend(self.check(&schema["items"], one, &format!("{at}/{index}"), whole));
        }
        if let (Some(fields), Some(known)) = (value.as_object(), schema["properties"].as_object()) {
            for (name, one) in fields {
                match known.get(name) {
                    Some(schema) => {
                        wrong.extend(self.check(schema, one, &format!("{at}/{name}"), whole));
                    }
                    None => wrong.push(format!("{at}: there is no field `{name}`")),
                }
            }
            for name in schema["required"].as_array().into_iter().flatten() {
                if whole && !fields.contains_key(name.as_str().unwrap()) {
                    wrong.push(format!("{at}: lacks {name}"));
                }
            }
        }
        wrong
    }

    fn check_request(&self, request: &Request) -> Vec<String> {
        let path = request.path.trim_start_matches("/api/v3");
        let Some(template) = self.template(path) else {
            return vec![format!("no such path {path}")];
        };
        let operation = self.operation(&request.method, template);
        let at = format!("{} {template}", request.method);
        if operation.is_null() {
            return vec![format!("{at}: no such method")];
        }
        let mut wrong = Vec::new();
        let parameters: Vec<_> = operation["parameters"].as_array().into_iter().flatten().collect();
        for (name, value) in &request.query {
            let known = parameters.iter().map(|one| self.resolve(one));
            match known.into_iter().find(|one| one["in"] == "query" && one["name"] == **name) {
                Some(parameter) => {
                    let number = value.parse::<i64>().map(Value::from);
                    let text = Value::from(value.as_str());
                    let value = match self.resolve(&parameter["schema"])["type"] == "integer" {
                        true => number.unwrap_or(text),
                        false => text,
                    };
                    wrong.extend(self.check(&parameter["schema"], &value, &at, true));
                }
                None => wrong.push(format!("{at}: there is no parameter `{name}`")),
            }
        }
        let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
        match (schema.is_null(), request.body.is_null()) {
            (false, false) => {
                wrong.extend(self.check(schema, &request.body, &format!("{at} body"), true));
            }
            (true, false) => wrong.push(format!("{at}: takes no body")),
            (false, true) if operation["requestBody"]["required"] == true => {
                wrong.push(format!("{at}: needs a body"));
            }
            _ => {}
        }
        let answer = self.resolve(&operation["responses"][request.status.to_string()]);
        let schema = &answer["content"]["application/json"]["schema"];
        // That nobody is let in, and that nothing is there, it does not say everywhere.
        if answer.is_null() && !matches!(request.status, 401 | 404) {
            wrong.push(format!("{at}: GitHub does not answer {}", request.status));
        } else if !schema.is_null() {
            // The forge answers less than GitHub, but nothing else.
            wrong.extend(self.check(schema, &request.answer, &format!("{at} answer"), false));
        }
        wrong
    }
}

/// Everything that can be asked of a host, once.
async fn ask_everything(forge: &Forge, host: &dyn CodeHost) {
    let new = NewPullRequest {
        draft: true,
        labels: vec!["bug".into()],
        reviewers: vec!["ann".into(), "org/core".into()],
        ..new_pull("T")
    };
    host.who().await.unwrap();
    host.create("org/r", &new).await.unwrap();
    host.create("org/r", &new).await.unwrap_err();
    forge.set_review("org/r", 1, "ann", Review::Approved);
    forge.set_checks("org/r", 1, Checks::Passed);
    let update = PullRequestUpdate {
        title: Some("U".into()),
        body: Some("V".into()),
        base: Some("main".into()),
        draft: Some(false),
        labels: Some(Vec::new()),
        reviewers: Some(vec!["bob".into()]),
    };
    host.update("org/r", "1", &update).await.unwrap();
    host.find("org/r", "change").await.unwrap();
    host.close("org/r", "1").await.unwrap();
    host.reopen("org/r", "1").await.unwrap();
    host.comment("org/r", "1", "x").await.unwrap();
    host.merge("org/r", "1", MergeMethod::Squash).await.unwrap();
    host.pull_request("org/r", "7").await.unwrap_err();
    host.list().await.unwrap();
}

#[tokio::test]
async fn requests_and_answers_are_as_github_describes_them() {
    let Some(description) = description().map(Description) else { return };
    let (forge, host_) = start(Dialect::GitHub);
    ask_everything(&forge, &*host_).await;
    for include in ["org", "user1", "org/r"] {
        forge.set_archived("org/r", true);
        let settings = settings(Dialect::GitHub, &forge, &[include], &[]);
        // `user1` is nobody, but asked for in both ways.
        let _ = host(&settings, token(&forge)).list().await;
        let _ = host(&settings, Credential::None).list().await;
    }
    let app = Forge::start(Dialect::GitHub, Options::default());
    app.add_repository("org/r", &[("a", "1")]);
    app.commit("org/r", "change", "b", "2");
    let credential = github_app::app(github_app::private_key());
    ask_everything(&app, &*host(&settings(Dialect::GitHub, &app, &[], &[]), credential)).await;
    let requests = [forge.ledger().requests, app.ledger().requests].concat();
    let rest: Vec<_> = requests.iter().filter(|one| one.path != "/api/graphql").collect();
    assert!(rest.len() > 50, "{}", rest.len());
    let wrong: std::collections::BTreeSet<_> =
        rest.into_iter().flat_map(|request| description.check_request(request)).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]
async fn githubs_own_examples_are_understood() {
    let Some(description) = description().map(Description) else { return };
    let (forge, plain) = start(Dialect::GitHub);
    let say = |method: &'static str, path: &str, template: &str, status: &str| {
        let body = description.example(method, template, status);
        let status = status.parse().unwrap();
        forge.fail_matching(1, method, path, Fault::Answer { status, headers: Vec::new(), body });
    };
    let repository = "/repos/{owner}/{repo}";
    let one = format!("{repository}/pulls/{{pull_number}}");
    let commit = format!("{repository}/commits/{{ref}}");
    // The longer path first: a fault takes what contains its path.
    say("GET", "/pulls/1347/reviews", &format!("{one}/reviews"), "200");
    say("GET", "/check-runs", &format!("{commit}/check-runs"), "200");
    say("GET", "/status", &format!("{commit}/status"), "200");
    say("GET", "/pulls/1347", &one, "200");
    let pull = plain.pull_request("octocat/Hello-World", "1347").await.unwrap();
    assert_eq!((pull.external_id.as_str(), pull.author.as_str()), ("1347", "octocat"));
    assert!(!pull.labels.is_empty() && pull.head_commit.len() == 40 && pull.created_ms > 0);
    say("GET", "/pulls", &format!("{repository}/pulls"), "200");
    assert!(plain.find("octocat/Hello-World", "no-such-branch").await.unwrap().is_empty());
    for (include, path, template) in [
        (vec![], "/user/repos", "/user/repos"),
        (vec!["octocat"], "/orgs/octocat/repos", "/orgs/{org}/repos"),
        (vec!["octocat/Hello-World"], "/repos/octocat/Hello-World", repository),
    ] {
        say("GET", path, template, "200");
        let host = host(&settings(Dialect::GitHub, &forge, &include, &[]), token(&forge));
        let list = host.list().await.unwrap();
        assert!(list[0].name.ends_with("/octocat/Hello-World"), "{path}: {list:?}");
    }
    let settings = settings(Dialect::GitHub, &forge, &[], &[]);
    let app = host(&settings, github_app::app(github_app::private_key()));
    say("GET", "/api/v3/app", "/app", "200");
    let tokens = "/app/installations/{installation_id}/access_tokens";
    say("POST", "/access_tokens", tokens, "201");
    assert!(app.who().await.unwrap().ends_with("[bot]"));
    say("POST", "/access_tokens", tokens, "201");
    say("GET", "/installation/repositories", "/installation/repositories", "200");
    assert!(!app.list().await.unwrap().is_empty());
}
