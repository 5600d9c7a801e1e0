use super::*;

fn yaml(text: &str) -> Result<Recipe, MergeError> {
    Recipe::parse(Path::new("r.yml"), text)
}

#[test]
fn yaml_and_toml_say_the_same() {
    let a = yaml(
        "merge_method: ties\nbase_model: b\nmodels:\n  - model: m@v1+l\n    parameters:\n      weight: [0.5, 1e-3]\n      \
         density: [{filter: mlp, value: 0.5}, {value: 1}]\ntokenizer: {source: union, pad_to_multiple_of: 64, tokens: \
         {x: {source: {kind: model_token, model: b, token_id: 3}, force: true}}}\ndtype: torch.float16\n",
    )
    .unwrap();
    let b = Recipe::parse(
        Path::new("r.toml"),
        "merge_method = \"ties\"\nbase_model = \"b\"\ndtype = \"float16\"\n[[models]]\nmodel = \"m@v1+l\"\n\
         [models.parameters]\nweight = [0.5, 1e-3]\ndensity = [{filter = \"mlp\", value = 0.5}, {value = 1}]\n\
         [tokenizer]\nsource = \"union\"\npad_to_multiple_of = 64\n\
         tokens.x = {source = {kind = \"model_token\", model = \"b\", token_id = 3}, force = true}\n",
    )
    .unwrap();
    let shown = |recipe: &Recipe| {
        let Recipe { method, slices, base, dtype, tokenizer, parameters, .. } = recipe;
        format!("{method:?} {slices:?} {base:?} {dtype:?} {tokenizer:?} {parameters:?}")
    };
    assert_eq!(shown(&a), shown(&b));
    let Layers::Whole(models) = &a.slices else { panic!("whole models were meant") };
    let reference = &models[0].model;
    assert_eq!(
        (reference.path.as_str(), reference.revision.as_deref(), reference.lora.as_deref()),
        ("m", Some("v1"), Some("l"))
    );
    assert_eq!(a.references().len(), 2);
}

#[test]
fn anchors_and_merge_keys_are_understood() {
    let recipe = yaml(
        "merge_method: linear\nmodels:\n  - model: a\n    parameters: &p {weight: 0.25}\n  - model: b\n    parameters:\n      \
         <<: *p\n",
    )
    .unwrap();
    let Layers::Whole(models) = &recipe.slices else { panic!("whole models were meant") };
    for model in models {
        assert_eq!(resolve("weight", &[&model.parameters], "x", 0.0), Some(Scalar::Number(0.25)));
    }
}

#[test]
fn what_means_nothing_to_a_method_is_noted_and_what_means_nothing_at_all_is_refused() {
    let recipe =
        yaml("merge_method: linear\nmodels: [{model: a}]\nparameters: {int8_mask: true, weight: 1}\n").unwrap();
    assert_eq!(recipe.ignored, ["`int8_mask` means nothing to the method `linear`"]);
    for (text, line) in [
        ("merge_method: linear\nmodels: [{model: a}]\nparameters:\n  weight: 1\n  weigth: 1\n", 5),
        ("merge_method: linear\nmodels:\n  - model: a\n    modle: b\n", 4),
        ("merge_method: linear\nmodels: [{model: a}]\nmodels: [{model: a}]\n", 3),
        ("merge_method: passthrough\nslices:\n  - sources:\n      - model: a\n        layer_range: [3, 2]\n", 5),
        ("merge_method: linear\nmodels: [{model: a}]\nchat_template:\n  - x\n", 3),
    ] {
        match yaml(text) {
            Err(MergeError::Recipe { line: found, .. }) => assert_eq!(found, line, "{text}"),
            other => panic!("{other:?}"),
        }
    }
    let toml = "merge_method = \"linear\"\nmodels = [{model = \"a\"}]\nparamters.weight = 1\n";
    let error = Recipe::parse(Path::new("r.toml"), toml).unwrap_err().to_string();
    assert!(error.contains("line 3") && error.contains("`paramters`"), "{error}");
}

#[test]
fn the_recipes_that_come_along_can_be_read() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/recipes");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        // Others are for training.
        if !std::fs::read_to_string(&path).unwrap().contains("merge_method") {
            continue;
        }
        let recipe = Recipe::read(&path).unwrap_or_else(|error| panic!("{error}"));
        assert!(recipe.ignored.is_empty(), "{:?}", recipe.ignored);
        count += 1;
    }
    assert!(count >= 3);
}
