//! What a server says of its models: which there are, and how much context they have. A server need not say anything
//! where the person has named the model.

use reqwest::Method;
use serde_json::Value;

use super::{GREETING, RemoteError, Server};

/// Where servers say how long a context is, those that are to be trusted most first: what is served (vLLM, llama-server,
/// LM Studio), then what the model could do.
const SERVED: [&str; 3] = ["max_model_len", "n_ctx", "loaded_context_length"];
const TRAINED: [&str; 4] = ["n_ctx_train", "context_length", "context_window", "max_context_length"];

/// How long a model's context is, in tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sizes {
    served: Option<u32>,
    pub(super) trained: Option<u32>,
}

impl Sizes {
    fn of(model: &Value) -> Self {
        let find = |keys: &[&str]| keys.iter().find_map(|key| tokens(&model[*key]).or(tokens(&model["meta"][*key])));
        Self { served: find(&SERVED), trained: find(&TRAINED) }
    }

    /// The context as far as the server says.
    pub(super) fn context(self) -> Option<u32> {
        self.served.or(self.trained)
    }
}

fn tokens(value: &Value) -> Option<u32> {
    let number = value.as_u64().or_else(|| value.as_str()?.parse().ok())?;
    u32::try_from(number).ok().filter(|number| *number > 0)
}

impl Server {
    /// Looks at the list of models, takes the first where none was named, and gives what is said of the one in use.
    ///
    /// # Errors
    /// There is no server, it wants another key, or it names no model and the person did not either.
    pub(super) async fn greet(&mut self, named: Option<&str>) -> Result<Sizes, RemoteError> {
        let url = self.address.door("models");
        let list = async { self.whole(self.sent(Method::GET, url, None).await?).await };
        let list = match tokio::time::timeout(GREETING, list).await {
            Ok(list) => list,
            Err(_) => Err(RemoteError::Unreachable { url: self.address.to_string(), reason: "no answer".into() }),
        };
        let list = list.and_then(|list| {
            let list: Value = serde_json::from_slice(&list).map_err(|error| self.language(&error.to_string()))?;
            models(&list).map(<[Value]>::to_vec).ok_or_else(|| self.language("no list of models"))
        });
        let list = match list {
            Ok(list) => list,
            // Chat is all that is needed of it.
            Err(RemoteError::Status { status, .. }) if named.is_some() && !matches!(status, 401 | 403 | 407) => {
                Vec::new()
            }
            Err(RemoteError::Language { .. }) if named.is_some() => Vec::new(),
            Err(error) => return Err(error),
        };
        if named.is_some() {
            let found = list.iter().find(|model| id(model) == named);
            return Ok(found.map(Sizes::of).unwrap_or_default());
        }
        let first = list.first().and_then(|model| Some((id(model)?.to_owned(), Sizes::of(model))));
        let (name, sizes) = first.ok_or_else(|| self.language("its list of models is empty"))?;
        self.model = name;
        Ok(sizes)
    }
}

fn models(list: &Value) -> Option<&[Value]> {
    [list, &list["data"], &list["models"]].into_iter().find_map(Value::as_array).map(Vec::as_slice)
}

fn id(model: &Value) -> Option<&str> {
    ["id", "name", "model"].iter().find_map(|key| model[*key].as_str())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_context_is_the_one_that_is_served_else_the_trained_one() {
        let table = [
            (json!({"max_model_len": 8192, "meta": {"n_ctx": 4096, "n_ctx_train": 32768}}), Some(8192)),
            (json!({"meta": {"n_ctx": 4096, "n_ctx_train": 32768}}), Some(4096)),
            (json!({"n_ctx": 4096, "context_length": 9}), Some(4096)),
            (json!({"meta": {"n_ctx_train": 32768}}), Some(32768)),
            (json!({"context_length": "131072"}), Some(131_072)),
            (json!({"max_model_len": 0, "meta": null}), None),
            (json!({"max_model_len": null}), None),
        ];
        for (model, context) in table {
            assert_eq!(Sizes::of(&model).context(), context, "{model}");
        }
    }

    #[test]
    fn lists_of_several_servers_are_read() {
        for list in [json!({"data": [{"id": "m"}]}), json!({"models": [{"name": "m"}]}), json!([{"model": "m"}])] {
            assert_eq!(models(&list).and_then(<[Value]>::first).and_then(id), Some("m"), "{list}");
        }
        assert_eq!(models(&json!({"error": "no"})), None);
    }
}
