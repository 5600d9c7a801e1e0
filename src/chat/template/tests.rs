use serde::Deserialize;

use super::*;

const NOW: u64 = 1_795_256_045;

fn hints<'a>(name: &'a str, has_token: &'a dyn Fn(&str) -> bool) -> Hints<'a> {
    Hints { architecture: "llama", name, has_token, now: NOW }
}

fn nothing(_: &str) -> bool {
    false
}

fn own(source: &str) -> Template {
    let (template, notice) = Template::new(Some(source), &hints("x", &nothing));
    assert_eq!(notice, None);
    assert_eq!(template.origin(), "model");
    template
}

fn source_of(name: &str) -> String {
    let path = format!("{}/tests/templates/{name}.jinja", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn turn(role: Role, text: &str) -> Message {
    Message::new(role, text)
}

/// One of each, the way a conversation goes.
fn talk() -> Vec<Message> {
    use Role::{Assistant, System, User};
    vec![turn(System, "S"), turn(User, "U"), turn(Assistant, "A"), turn(User, "V")]
}

#[derive(Deserialize)]
struct Case {
    template: String,
    turns: Vec<(Role, String)>,
    ask: bool,
    expected: Option<String>,
}

#[test]
fn every_template_says_what_python_s_jinja_says() {
    let cases: Vec<Case> = serde_json::from_str(include_str!("../../../tests/templates/expected.json")).unwrap();
    assert!(cases.len() > 200);
    for case in cases {
        let template = own(&source_of(&case.template));
        let turns: Vec<Message> = case.turns.iter().map(|(role, text)| turn(*role, text)).collect();
        let rendered = template.render(&turns, "<s>", "</s>", case.ask).unwrap();
        match case.expected {
            Some(expected) => assert_eq!(rendered, expected, "{} {:?}", case.template, case.turns),
            // Python refuses; here all that was said is put into a shape that the template takes.
            None => {
                for (_, text) in &case.turns {
                    assert!(rendered.contains(text.trim()), "{} {:?}: {rendered}", case.template, case.turns);
                }
            }
        }
    }
}

#[test]
fn built_ins_have_the_forms_the_models_learned() {
    let table: [(&str, &[&str], &str, &str); 7] = [
        (
            "Qwen",
            &["<|im_start|>"],
            "chatml",
            "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nU<|im_end|>\n<|im_start|>assistant\nA<|im_end|>\n\
             <|im_start|>user\nV<|im_end|>\n<|im_start|>assistant\n",
        ),
        (
            "deepseek-coder-1.3b-instruct",
            &["<|EOT|>"],
            "deepseek-coder",
            "S### Instruction:\nU\n### Response:\nA\n<|EOT|>\n### Instruction:\nV\n### Response:\n",
        ),
        (
            "glm",
            &["[gMASK]", "<|user|>"],
            "glm-4",
            "[gMASK]<sop><|system|>\nS<|user|>\nU<|assistant|>\nA<|user|>\nV<|assistant|>\n",
        ),
        (
            "Llama 3",
            &["<|start_header_id|>", "<|eot_id|>"],
            "llama-3",
            "<|start_header_id|>system<|end_header_id|>\n\nS<|eot_id|><|start_header_id|>user<|end_header_id|>\n\n\
             U<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\nA<|eot_id|><|start_header_id|>user\
             <|end_header_id|>\n\nV<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n",
        ),
        (
            "Gemma",
            &["<start_of_turn>"],
            "gemma",
            "<start_of_turn>user\nS\n\nU<end_of_turn>\n<start_of_turn>model\nA<end_of_turn>\n<start_of_turn>user\n\
             V<end_of_turn>\n<start_of_turn>model\n",
        ),
        (
            "StarCoder",
            &[],
            "alpaca",
            "S\n\n### Instruction:\nU\n\n### Response:\nA\n\n### Instruction:\nV\n\n### Response:\n",
        ),
        (
            "fine-tune",
            &["<|EOT|>"],
            "deepseek-coder",
            "S### Instruction:\nU\n### Response:\nA\n<|EOT|>\n### Instruction:\nV\n### Response:\n",
        ),
    ];
    for (name, tokens, origin, expected) in table {
        let has = |text: &str| tokens.contains(&text);
        let (template, notice) = Template::new(None, &hints(name, &has));
        assert_eq!((template.origin(), notice), (origin, None));
        assert_eq!(template.render(&talk(), "<s>", "</s>", true).unwrap(), expected);
        assert!(!template.stops().is_empty() && !template.opens_thinking());
    }
}

#[test]
fn what_was_said_is_never_taken_for_a_template() {
    let has = |_: &str| false;
    let (template, _) = Template::new(None, &hints("x", &has));
    let said = "{{ bos_token }} {% for x in y %} {# no #} \\n <b>&\"'\n\n  ";
    let rendered = template.render(&[turn(Role::User, said)], "<s>", "", true).unwrap();
    assert_eq!(rendered, format!("### Instruction:\n{said}\n\n### Response:\n"));
}

#[test]
fn a_broken_template_gives_way_to_a_built_in_and_says_why() {
    let endless = "{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}{{ messages }}";
    let recursive = "{% macro m(n) %}{{ m(n) }}{% endmacro %}{{ m(1) }}";
    let forking =
        "{% macro m(n) %}{% if n %}{% set a = m(n - 1) %}{% set b = m(n - 1) %}{% endif %}{% endmacro %}{{ m(25) }}";
    let captured = format!(
        "{{% set x %}}{{% for i in range(100000) %}}{{{{ '{}' }}}}{{% endfor %}}{{% endset %}}",
        "y".repeat(500)
    );
    let table = [
        ("{% for m in messages %}{{ m.content }", "line 1"),
        ("{{ raise_exception('never\x1b[2J') }}", "never [2J"),
        ("{{ nothing.of.this }}", "undefined value"),
        ("{{ no_such_function() }}", "no_such_function"),
        ("a constant", "it leaves out what was said"),
        ("{% for m in messages %}{% if m.role == 'user' %}{{ m.content }}{% endif %}{% endfor %}", "it leaves out"),
        (endless, "it does not come to an end"),
        (recursive, "recursion limit exceeded"),
        (forking, ""),
        (&captured, "it is too large or writes too much"),
        (&"x".repeat(300_000), "it is too large"),
        (&"{{".repeat(10_000), "line 1"),
        (&format!("{{{{ {}1{} }}}}", "(".repeat(5_000), ")".repeat(5_000)), "line 1"),
        ("{% for i in range(99999999999) %}{% endfor %}", "too large"),
        ("{{ 'x' * 99999999999 }}", "too large"),
        ("{% include 'chat template' %}", ""),
    ];
    let has = |text: &str| text == "<|im_start|>";
    for (source, why) in table {
        let (template, notice) = Template::new(Some(source), &hints("x", &has));
        let notice = notice.unwrap_or_else(|| panic!("no notice for {}", super::super::tree::one_line(source, 60)));
        assert!(notice.contains(why) && notice.ends_with("the built-in `chatml` takes its place"), "{notice}");
        assert!(!notice.chars().any(char::is_control), "{notice:?}");
        assert_eq!(template.origin(), "chatml");
        assert!(template.render(&talk(), "", "", true).is_ok());
    }
    let (template, notice) = Template::new(Some(" \n"), &hints("x", &has));
    assert_eq!((template.origin(), notice), ("chatml", None));
}

#[test]
fn a_template_that_fails_later_is_stood_in_for() {
    let picky = "{% for m in messages %}{% if 'secret' in m.content %}{{ raise_exception('no') }}{% endif %}\
                 {{ m.content }}{% endfor %}";
    let template = own(picky);
    let rendered = template.render(&[turn(Role::User, "a secret")], "", "", true).unwrap();
    assert_eq!(rendered, "### Instruction:\na secret\n\n### Response:\n");
}

#[test]
fn a_system_message_that_is_refused_or_dropped_stands_before_the_first_question() {
    let dropping = "{% for m in messages if m.role != 'system' %}[{{ m.role }}]{{ m.content }}{% endfor %}";
    assert_eq!(own(dropping).render(&talk(), "", "", true).unwrap(), "[user]S\n\nU[assistant]A[user]V");
    let gemma = own(&source_of("gemma"));
    assert!(gemma.render(&talk(), "<bos>", "", true).unwrap().starts_with("<bos><start_of_turn>user\nS\n\nU<end"));
    // Without one, nothing is put there: the template's own default applies.
    let qwen = own(&source_of("qwen2_5"));
    let rendered = qwen.render(&talk()[1..2], "", "", false).unwrap();
    assert_eq!(rendered, "<|im_start|>system\nThe default of this model.<|im_end|>\n<|im_start|>user\nU<|im_end|>\n");
}

#[test]
fn strict_templates_take_turns_from_which_some_were_dropped() {
    let strict = own(&source_of("mistral"));
    let said = |turns: &[Message]| strict.render(turns, "<s>", "</s>", true).unwrap();
    use Role::{Assistant, System, User};
    assert_eq!(said(&[turn(Assistant, "A"), turn(User, "U")]), "<s>[INST] … [/INST]A</s> [INST] U [/INST]");
    assert_eq!(said(&[turn(User, "U"), turn(User, "V")]), "<s>[INST] U\n\nV [/INST]");
    assert_eq!(
        said(&[turn(System, "S"), turn(Assistant, "A"), turn(User, "U")]),
        "<s>[INST] S [/INST]A</s> [INST] U [/INST]"
    );
    assert_eq!(said(&[turn(System, "S")]), "<s>[INST] S [/INST]");
}

#[test]
fn thinking_that_the_prompt_opens_is_known() {
    assert!(own(&source_of("r1")).opens_thinking());
    let mut qwen = own(&source_of("qwen3"));
    assert!(!qwen.opens_thinking());
    qwen.set_thinking(Some(false));
    let rendered = qwen.render(&talk(), "", "", true).unwrap();
    assert!(rendered.ends_with("<|im_start|>assistant\n<think>\n\n</think>\n\n") && !qwen.opens_thinking());
}

#[test]
fn past_turns_keep_their_bytes_so_that_the_cache_is_hit() {
    for name in ["smollm2", "qwen2_5", "qwen3", "gemma", "gemma3", "llama3", "deepseek_coder", "glm4", "mistral"] {
        let template = own(&source_of(name));
        let mut turns = talk();
        let before = template.render(&turns, "<s>", "</s>", false).unwrap();
        turns.extend([turn(Role::Assistant, "B"), turn(Role::User, "W")]);
        let after = template.render(&turns, "<s>", "</s>", true).unwrap();
        assert!(after.starts_with(before.trim_end()), "{name}:\n{before}\n---\n{after}");
    }
}

#[test]
fn a_long_conversation_stays_within_the_steps() {
    for name in ["qwen3", "llama3", "deepseek_coder", "smollm2"] {
        let template = own(&source_of(name));
        let mut turns = vec![turn(Role::System, "S")];
        for number in 0..1000 {
            turns.push(turn(Role::User, &format!("question {number}")));
            turns.push(turn(Role::Assistant, "an answer that goes on ".repeat(40).trim()));
        }
        turns.push(turn(Role::User, "last"));
        let attempt = attempt(
            &template.jinja,
            template.manners,
            &turns,
            &Frame { bos: "", eos: "", add_generation_prompt: true, thinking: None },
        );
        let rendered = attempt.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(rendered.contains("question 999") && rendered.contains("last"));
    }
}

#[test]
fn the_texts_that_end_a_turn_are_read_off_the_template() {
    assert_eq!(own(&source_of("smollm2")).stops(), ["<|im_end|>"]);
    assert_eq!(own(&source_of("deepseek_coder")).stops(), ["<|EOT|>", "\n### Instruction:"]);
    assert_eq!(own(&source_of("gemma")).stops(), ["<end_of_turn>"]);
    assert_eq!(own(&source_of("glm4")).stops(), [""; 0]);
}

#[test]
fn what_a_template_computes_is_bounded() {
    if !is_alone("what_a_template_computes_is_bounded") {
        return;
    }
    let double = |what: &str| {
        format!(
            "{{% set ns = namespace(x={what}) %}}{{% for i in range(40) %}}{{% set ns.x = ns.x + ns.x %}}{{% endfor %}}{{{{ ns.x|list|length }}}}"
        )
    };
    let bombs = [
        "{{ '%1000000000d'|format(1) }}".to_owned(),
        "{{ '{:>1000000000}'.format('x') }}".to_owned(),
        "{{ '{:>{w}}'.format('x', w=1000000000) }}".to_owned(),
        double("'xx'"),
        double("[1, 2]"),
        "{% set ns = namespace(x='ab') %}{% for i in range(40) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}".to_owned(),
        "{% set ns = namespace(x='ab') %}{% for i in range(40) %}{% set ns.x = ns.x * 2 %}{% endfor %}".to_owned(),
        "{% set ns = namespace(x=[1]) %}{% for i in range(40) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x }}".to_owned(),
        "{% set ns = namespace(x=[1]) %}{% for i in range(3000) %}{% set ns.x = [ns.x] %}{% endfor %}".to_owned(),
        "{% set ns = namespace(x='ab') %}{% for i in range(40) %}{% set ns.x = ns.x|replace('a', 'aa')|replace('b', 'bb') %}{% endfor %}".to_owned(),
        "{% set ns = namespace(x='ab') %}{% for i in range(40) %}{% set ns.x = ns.x.replace('', ns.x) %}{% endfor %}".to_owned(),
        "{% set ns = namespace(x='ab') %}{% for i in range(40) %}{% set ns.x = [ns.x, ns.x]|join(ns.x) %}{% endfor %}".to_owned(),
        "{% set ns = namespace(x='ab') %}{% for i in range(40) %}{% set ns.x = ns.x.join([1, 2, 3]) %}{% endfor %}".to_owned(),
        "{% set ns = namespace(x=[1]) %}{% for i in range(400000) %}{% set ns.x = ns.x[0:] %}{% endfor %}".to_owned(),
        "{{ 'a'|indent(1000000000, true) }}".to_owned(),
        "{{ ('a\n' * 1000)|indent(width=1000000, first=true) }}".to_owned(),
        "{{ [1]|batch(1000000000, 0)|list }}".to_owned(),
        "{{ [1]|slice(1000000000)|list }}".to_owned(),
        "{{ [1]|slice(20000000)|list }}".to_owned(),
        "{{ [1]|batch(20000000, 0)|list }}".to_owned(),
        "{{ ([0] * 100000000)|list|length }}".to_owned(),
        "{{ ['a', 'b']|map('indent', 1000000000, true)|list }}".to_owned(),
        "{% set x = 1000000 %}{{ ('ab' * x) * x }}".to_owned(),
        "{{ 'x' * 100000000 }}{{ 'x' * 10 ** 8 }}".to_owned(),
        format!("{{{{ {}1 }}}}", "-".repeat(200_000)),
        format!("{{{{ {}1 }}}}", "not ".repeat(50_000)),
        format!("{{{{ 1{} }}}}", " ~ 1".repeat(60_000)),
        format!("{{{{ x{} }}}}", "|abs".repeat(50_000)),
        format!("{{{{ x{} }}}}", ".a".repeat(100_000)),
        format!("{{% if x %}}{}{{% endif %}}", "{% elif x %}".repeat(20_000)),
        "{% set ns = namespace() %}{% set ns.self = ns %}{{ ns }}".to_owned(),
        "{% set ns = namespace() %}{% set ns.self = [ns] %}{{ ns }}".to_owned(),
        "{% set ns = namespace() %}{% set ns.self = {'a': ns} %}{{ ns == ns.self }}".to_owned(),
        format!("{{% for i in range(100000) %}}{{% set x %}}{}{{% endset %}}{{% endfor %}}", "y".repeat(100_000)),
        "{% include 'chat template' %}".to_owned(),
        "{% block a %}{% endblock %}".to_owned(),
        "{{ debug() }}".to_owned(),
    ];
    let has = |text: &str| text == "<|im_start|>";
    for bomb in bombs {
        let source = format!("{bomb}{{% for m in messages %}}{{{{ m.role + m.content }}}}{{% endfor %}}");
        let (template, notice) = Template::new(Some(&source), &hints("x", &has));
        let shown = super::super::tree::one_line(&bomb, 100);
        assert!(notice.is_some() && template.origin() == "chatml", "{shown} was accepted");
    }
    assert!(peak() < 500, "{} MiB", peak());
}

/// Runs the test again in a process of its own, whose memory nobody else takes; true there.
fn is_alone(test: &str) -> bool {
    const ALONE: &str = "ZORD_TEST_ALONE";
    if std::env::var_os(ALONE).is_some() {
        return true;
    }
    let name = format!("{}::{test}", module_path!().split_once("::").unwrap().1);
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    let ran = command.args([&name, "--exact", "--nocapture"]).env(ALONE, "1").output().unwrap();
    let said = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.status.success() && said.contains("1 passed"), "{said}{}", String::from_utf8_lossy(&ran.stderr));
    false
}

/// The most memory this process has had, in MiB.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

#[test]
fn what_real_templates_do_is_not_in_the_way_of_the_bounds() {
    let source = "{% macro turn(role, text) %}<{{ role }}>{{ text|trim }}{% endmacro %}\
        {% set ns = namespace(all=[], last='') %}\
        {% for m in messages %}{% set ns.all = ns.all + [m.role] %}{% set ns.last = ns.last ~ m.role[0:1]|upper %}\
        {{ turn(m.role, text=m.content) }}{% endfor %}\
        {{ ns.all|join('-') }} {{ ns.last }} {{ ns.all[::-1]|list|tojson }} {{ messages|selectattr('role', 'equalto', 'user')|list|length }} \
        {{ '-' * 3 }} {{ '%s=%d'|format('a', 7) }} {{ 'a b'.split(' ')|last }} {{ {'a': 1}.items()|list }} \
        {{ 'x\ny'|indent(2) }} {{ 3 > 2 > 1 }} {{ 'user' in ns.all }} {{ (1, 2)|length }} {{ none is none }} {{ 2 * 3 + 1 }}";
    let template = own(source);
    let rendered = template.render(&talk(), "", "", true).unwrap();
    let expected = "<system>S<user>U<assistant>A<user>Vsystem-user-assistant-user SUAU \
        [\"user\", \"assistant\", \"user\", \"system\"] 2 --- a=7 b [('a', 1)] x\n  y True True 2 True 7";
    assert_eq!(rendered.to_lowercase(), expected.to_lowercase());
}
