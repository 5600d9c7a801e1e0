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

#[test]
fn recipes_as_people_write_them_are_merged_and_told() {
    let recipe = yaml(
        "name: my merge\ndefaults: &d\n  density: 0.5\nweights:\n  - &w {weight: 0.25}\nx-notes: anything\nmerge_method: ties\n\
         base_model: b\nmodels:\n  - model: a\n    parameters:\n      <<: [*w, *d]\n  - model: c\n    parameters: {weight: 1, density: 1}\n\
         parameters:\n  dtype: float16\n  embed_slerp: true\n  normalize: true\n",
    )
    .unwrap();
    let Layers::Whole(models) = &recipe.slices else { panic!("whole models were meant") };
    let own = [&models[0].parameters];
    assert_eq!(resolve("weight", &own, "x", 0.0), Some(Scalar::Number(0.25)));
    assert_eq!(resolve("density", &own, "x", 0.0), Some(Scalar::Number(0.5)));
    assert_eq!(recipe.dtype, None);
    let told = recipe.ignored.join("\n");
    for word in ["`name`", "`defaults`", "`weights`", "`x-notes`", "`dtype` under `parameters`", "`embed_slerp`"] {
        assert!(told.contains(word), "{word}: {told}");
    }
    assert_eq!(recipe.ignored.len(), 6, "{told}");
    // A key that nothing is taken in from is a key that somebody believes in.
    assert!(yaml("merge_method: linear\nmodels: [{model: a}]\ndensty: 0.5\n").is_err());
}

#[test]
fn a_recipe_of_thousands_of_models_is_refused_before_they_are_opened() {
    let models = |count: usize| -> String { (0..count).map(|n| format!("  - model: m{n}\n")).collect() };
    let recipe = |count| yaml(&format!("merge_method: karcher\nmodels:\n{}", models(count)));
    assert_eq!(recipe(512).unwrap().references().len(), 512);
    let error = recipe(5000).unwrap_err().to_string();
    assert!(error.contains("5000 models, and at most 512"), "{error}");
}
