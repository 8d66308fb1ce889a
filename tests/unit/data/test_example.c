/* Lines of data to tokens and masks, with a tokenizer of one token a byte. */
#include "unit.h"

#include "tiny_lines.h"

static void test_text(void **state)
{
    (void)state;
    check("{\"text\":\"abc\"}", plain, &usual, "abc$", "0111");
    check("{\"text\":\"abc\"}", with_bos, &usual, "^abc$", "01111");
    check(" {\"text\":\"a\", \"id\": 7, \"tags\": [\"x\"], \"big\": 123456789012345678901234567890} ", plain,
          &usual, "a$", "01");
    check("{\"text\":\"abc\",\"prompt\":null,\"completion\":null}", plain, &usual, "abc$", "0111");
    check("{\"text\":\"\"}", with_bos, &usual, "^$", "01");
    check("{\"text\":\"\\u00e9\"}", plain, &usual, "\xC3\xA9$", "011");
    check("{\"text\":\"a<|im_end|>b<|eos|>\"}", plain, &usual, "a>b$$", "01111");
}

static void test_no_doubled_bos(void **state)
{
    (void)state;
    check("{\"text\":\"<|bos|>abc\"}", with_bos, &usual, "^abc$", "01111");
    check("{\"text\":\"<|bos|>abc\"}", plain, &usual, "^abc$", "01111");
    check("{\"text\":\"a<|bos|>\"}", with_bos, &usual, "^a^$", "0111");
    check("{\"text\":\"<|bos|><|bos|>\"}", plain, &usual, "^^$", "011"); /* as it is written */
    assert_int_equal(ex.notes, 1U << NOTE_DOUBLED_BOS);
    check("{\"prompt\":\"<|bos|>ab\",\"completion\":\"c\"}", with_bos, &usual, "^abc$", "00011");
    assert_true(ex.had_bos);
    check("{\"prompt\":\"<|bos|>ab\",\"completion\":\"c\"}", plain, &usual, "^abc$", "00011");
    assert_false(ex.had_bos);
    check("{\"prompt\":\"a<|bos|>\",\"completion\":\"<|bos|>\"}", with_bos, &usual, "^a^^$", "00011");
    assert_false(ex.had_bos);
    check(
        "{\"messages\":[{\"role\":\"system\",\"content\":\"s\"},{\"role\":\"assistant\",\"content\":\"a\"}]}",
        with_bos, &usual, "<system|s>|<assistant|a>|", "0000000000000000000000110");
}

static void test_completion(void **state)
{
    (void)state;
    check("{\"prompt\":\"ab\",\"completion\":\"cd\"}", plain, &usual, "abcd$", "00111");
    check("{\"completion\":\"cd\",\"prompt\":\"ab\"}", with_bos, &usual, "^abcd$", "000111");
    check("{\"completion\":\"cd\",\"prompt\":\"\"}", with_bos, &usual, "^cd$", "0111");
    /* Of a post-processor that adds tokens on both sides, those after do not stand between. */
    check("{\"completion\":\"cd\",\"prompt\":\"ab\"}", with_both, &usual, "^abcd$", "000111");
    check("{\"completion\":\"cd\",\"prompt\":\"\"}", with_both, &usual, "^cd$", "0111");
    /* One end. */
    check("{\"prompt\":\"ab\",\"completion\":\"cd<|eos|>\"}", plain, &usual, "abcd$", "00111");
    check("{\"prompt\":\"ab\",\"completion\":\"<|eos|>\"}", plain, &usual, "ab$", "001");
    check("{\"prompt\":\"ab<|eos|>\",\"completion\":\"\"}", plain, &usual, "ab$$", "0001");
    check("{\"prompt\":\"ab\",\"completion\":\"<|eos|>c\"}", plain, &usual, "ab$c$", "00111");
    assert_int_equal(ex.notes, 0);
    check("{\"prompt\":\"\",\"completion\":\"cd\"}", plain, &usual, "cd$", "011");
    assert_int_equal(ex.notes, 1U << NOTE_NO_PROMPT);
    check("{\"prompt\":\"ab\",\"completion\":\"\"}", plain, &usual, "ab$", "001");
    /* Each is tokenised by itself: no token reaches over the border. */
    check("{\"prompt\":\"a\\n\",\"completion\":\"hi\\nh\"}", plain, &usual, "a|hi~$", "001111");
}

/* clang-format off */
static void test_messages(void **state)
{
    (void)state;
    check("{\"messages\":[{\"role\":\"system\",\"content\":\"s\"},{\"role\":\"user\",\"content\":\"u\"},"
          "{\"role\":\"assistant\",\"content\":\"ab\",\"name\":\"x\"},{\"role\":\"user\",\"content\":\"v\"},"
          "{\"role\":\"assistant\",\"content\":\"c\"}]}",
          plain, &usual,
          "<system|s>|" "<user|u>|" "<assistant|" "ab>" "|<user|v>|" "<assistant|" "c>" "|",
          "00000000000" "000000000" "00000000000" "111" "0000000000" "00000000000" "11" "0");
    /* Without a system message the template puts its own in front. */
    struct err e;
    assert_int_equal(parse("{\"messages\":[{\"role\":\"assistant\",\"content\":\"a\"}]}", plain, &usual, &e), ERR_OK);
    assert_int_equal(ex.count, strlen("<system|" TINY_SYSTEM ">|<assistant|a>|"));
    assert_int_equal(ex.tokens[8], TINY_SYSTEM[0]);
    assert_int_equal(ex.supervised_count, 2);
}
/* clang-format on */

/* The "h" that begins the content lies in one token with the line end before it, which is the template's. */
static void test_straddling_token(void **state)
{
    (void)state;
    check("{\"messages\":[{\"role\":\"system\",\"content\":\"\"},{\"role\":\"assistant\",\"content\":"
          "\"hi\\nh\"}]}",
          plain, &usual, "<system|>|<assistant~i~>|", "0000000000000000000001110");
}

static void test_train_on_all(void **state)
{
    (void)state;
    const struct example_options all = {.max_length = 1000, .train_on = TRAIN_ON_ALL};
    check("{\"text\":\"abc\"}", plain, &all, "abc$", "0111");
    check("{\"prompt\":\"ab\",\"completion\":\"cd\"}", plain, &all, "abcd$", "01111");
    check("{\"messages\":[{\"role\":\"system\",\"content\":\"s\"}]}", plain, &all, "<system|s>|",
          "01111111111");
}

static void test_truncation(void **state)
{
    (void)state;
    struct err e;
    const struct example_options three = {.max_length = 3}, four = {.max_length = 4}, two = {.max_length = 2};
    check("{\"prompt\":\"ab\",\"completion\":\"c\"}", plain, &four, "abc$", "0011");
    assert_false(ex.truncated);
    check("{\"prompt\":\"ab\",\"completion\":\"c\"}", plain, &three, "abc", "001");
    assert_true(ex.truncated);
    assert_int_equal(ex.notes, 1U << NOTE_CUT_ANSWER | 1U << NOTE_UNENDED | 1U << NOTE_GLUED);
    assert_int_equal(parse("{\"prompt\":\"ab\",\"completion\":\"c\"}", plain, &two, &e), ERR_DATA);
    assert_non_null(strstr(e.message, "--max-length 2"));
    check("{\"text\":\"ab\"}", plain, &three, "ab$", "011"); /* nothing of the failure stays behind */
    assert_false(ex.truncated);
}

static void test_bad_lines(void **state)
{
    (void)state;
    check_bad("", "JSON");
    check_bad("{\"text\":\"a\"", "JSON");
    check_bad("{\"text\":\"a\"} x", "JSON");
    check_bad("text", "column 4: not valid JSON: invalid token near 'text'; a line holds one JSON object, {...}");
    check_bad(" {'text': 'a'}", "; JSON has double quotes");
    check_bad("{", "; an object may not go on in the next line: jq");
    check_bad("{\"text\":\"a\",\"x\":NaN}", "; JSON has no NaN: write null");
    check_bad("{\"text\":\"a\",\"text\":\"b\"}", "not valid JSON: duplicate object key");
    check_bad("{\"text\":\"a\",\"x\":{\"y\":1,\"y\":2}}", "JSON");
    check_bad("{\"text\":\"a\\u0000b\"}", "JSON");
    check_bad("{\"text\":\"\\ud800\"}", "JSON");
    check_bad("{\"text\":\"a\xFF\"}", "byte 11 of the line is not valid UTF-8");
    check_bad("{\"text\":\"\xED\xA0\x80\"}", "not valid UTF-8");
    check_bad("[\"text\"]", "one JSON object, but this starts an array: jq");
    check_bad(" [", "starts an array"); /* pretty-printed */
    check_bad("3", "one JSON object, not an integer");
    check_bad("\"text\"", "one JSON object");
    check_bad("null", "one JSON object");
    check_bad("{\"prompt\":\"a\",\"completion\":null}", "has \"prompt\" but no \"completion\"");
    check_bad("{}", "wrong fields: has none of");
    check_bad("{\"Text\":\"a\"}", "wrong fields: has none of");
    check_bad("{\"text\":7}", "\"text\" must be a string, not an integer");
    check_bad("{\"text\":null}", "\"text\" must be a string, not null");
    check_bad("{\"text\":\"\"}", "no supervised token");
    check_bad("{\"prompt\":\"a\"}", "has \"prompt\" but no \"completion\"");
    check_bad("{\"completion\":\"a\"}", "has \"completion\" but no \"prompt\"");
    check_bad("{\"prompt\":[],\"completion\":\"a\"}", "\"completion\" must be a list of messages as the other one");
    check_bad("{\"prompt\":\"a\",\"completion\":true}", "\"completion\" must be a string");
    check_bad("{\"prompt\":\"\",\"completion\":\"\"}", "no supervised token");
    check_bad("{\"text\":\"a\",\"messages\":[]}", "both \"text\" and \"messages\"");
    check_bad("{\"text\":\"a\",\"prompt\":\"b\",\"completion\":\"c\"}", "both \"text\" and \"prompt\"");
    check_bad("{\"prompt\":\"b\",\"completion\":\"c\",\"messages\":[]}", "and \"messages\"");
}

/* What a line does have, and the option or the command that makes an example of it. */
static void test_advice(void **state)
{
    (void)state;
    check_bad("{\"question\":\"a\",\"answer\":\"b\",\"id\":3}",
              "but \"question\", \"answer\" and \"id\": --columns prompt=question,completion=answer reads it so");
    check_bad("{\"Text\":\"a\"}", ", but \"Text\": --columns text=Text reads");
    check_bad("{\"x\":\"a\",\"y\":\"b\",\"n\":1}", "--columns prompt=x,completion=y reads");
    check_bad("{\"x\":\"a\",\"y\":\"b\",\"z\":\"c\"}", "--columns prompt=THEIRS,completion=THEIRS");
    check_bad("{\"Question text\":\"a\",\"Answer text\":\"b\"}",
              "--columns 'prompt=Question text,completion=Answer text' reads");
    check_bad("{\"a\":1,\"b\":2,\"c\":3,\"d\":4,\"e\":5,\"f\":6,\"g\":7,\"h\":8,\"i\":9,\"j\":0}", "\"h\" and 2 more");
    check_bad("{\"prompt\":\"a\",\"response\":\"b\"}", "but no \"completion\", only \"prompt\" and \"response\": "
                                                     "--columns completion=response reads");
    check_bad("{\"instruction\":\"a\",\"context\":\"c\",\"response\":\"b\"}",
              "--columns output=response,input=context ");
    check_bad("{\"prompt\":\"a\",\"chosen\":\"b\",\"rejected\":\"c\"}", "--columns completion=chosen,unused=rejected ");
    check_bad("{\"dialog\":[{\"role\":\"user\",\"content\":\"a\"}]}", "--columns messages=dialog ");
    check_bad("{\"dialog\":[{\"from\":\"human\",\"value\":\"a\"}]}", "--columns conversations=dialog ");
    check_bad("{\"data\":[{\"text\":\"a\"}]}", "jq -c '.data[]' FILE > FILE.jsonl ");
    check_bad("{\"prompt\":\"a\",\"completion\":[\"b\"]}",
              "\"completion\" must be a string, as \"prompt\" is, not an array");
    check_bad("{\"prompt\":[\"a\"],\"completion\":\"b\"}", "\"prompt\" must be a string, as \"completion\" is");
    check_bad("{\"prompt\":\"a\",\"completion\":[{\"role\":\"user\",\"content\":\"b\"}]}",
              "\"prompt\" must be a list of messages");
    check_bad("{\"messages\":[{\"from\":\"human\",\"value\":\"a\"}]}",
              "\"messages\"[0]: has \"from\" and \"value\" where this form has \"role\" and \"content\": --columns "
              "conversations=messages reads them");
    check_bad("{\"messages\":[{\"speaker\":\"user\",\"text\":\"a\"}]}",
              "has no \"role\", only \"speaker\" and \"text\""
              ": jq -c '.messages |= map({role: .speaker, content: .text})' FILE");
    check_bad("{\"messages\":[{\"role\":\"user\",\"value\":\"a\"}]}",
              "has no \"content\", only \"role\" and \"value\": jq");
    check_bad("{\"conversations\":[{\"from\":\"human\",\"text\":\"a\"}]}", "map({from: .from, value: .text})");
}

/* What people have in the place of lines of objects, and of assistants. */
static void test_advice_on_mistakes(void **state)
{
    (void)state;
    check_bad("{\"text\":\"a\"}, ", "; a line has no comma at its end: sed");
    check_bad("{\"text\":\"a\"}{\"text\":\"b\"}", "; jq -c . FILE > NEW writes each object on a line of its own");
    check_bad("Once upon a time", "jq -Rc '{text: .}' FILE > NEW makes one of each line");
    check_bad("{\"text\":\"caf\xE9\"}", "iconv -f LATIN1");
    check_bad("{\"row\":{\"text\":\"a\"}}", "but \"row\": jq -c '.[]' FILE > NEW writes what is in it");
    check_bad("{\"context\":\"c\",\"question\":\"q\",\"n\":1}", "--columns prompt=THEIRS");
    check_bad("{\"messages\":\"[]\"}", "jq -c '.messages |= fromjson' FILE");
    check_bad("{\"messages\":[{\"role\":\"user\",\"content\":\"q\"},{\"role\":\"Bot\",\"content\":\"a\"}]}",
              "no message has the role \"assistant\"; that of the last is \"Bot\"");
}

/* Blanks, and words that run into each other. */
static void test_notes(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        unsigned notes;
    } cases[] = {
        {"{\"prompt\":\"ab\",\"completion\":\" b\"}", 0},
        {"{\"prompt\":\"ab\",\"completion\":\"b\"}", 1U << NOTE_GLUED},
        {"{\"prompt\":\"ab?\",\"completion\":\"b\"}", 1U << NOTE_GLUED},
        {"{\"prompt\":\"ab\\n\",\"completion\":\"b\"}", 0},
        {"{\"prompt\":\"ab>\",\"completion\":\"b\"}", 0},
        {"{\"prompt\":\"ab\",\"completion\":\"\xE4\xBD\xA0\"}", 0},
        {"{\"prompt\":\"\",\"completion\":\" bc\"}", 1U << NOTE_NO_PROMPT},
        {"{\"prompt\":\"ab\",\"completion\":\" \\n\"}", 1U << NOTE_NO_ANSWER},
        {"{\"messages\":[{\"role\":\"user\",\"content\":\"\"},{\"role\":\"assistant\",\"content\":\"a\"}]}",
         1U << NOTE_NO_PROMPT},
        {"{\"messages\":[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"assistant\",\"content\":\"\"}]}",
         1U << NOTE_NO_ANSWER},
        {"{\"messages\":[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"assistant\",\"content\":\"\",\"weight\":0},"
         "{\"role\":\"assistant\",\"content\":\"a\"}]}", 0},
    };
    struct err e;
    const unsigned asked = 1U << NOTE_GLUED | 1U << NOTE_NO_PROMPT | 1U << NOTE_NO_ANSWER | 1U << NOTE_JOINED;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (parse(cases[i].line, plain, &usual, &e))
            fail_msg("%s: %s", cases[i].line, e.message);
        if ((ex.notes & asked) != (cases[i].notes & asked))
            fail_msg("%s: notes %x, not %x", cases[i].line, ex.notes, cases[i].notes);
    }
}

static void test_bad_messages(void **state)
{
    (void)state;
    check_bad("{\"messages\":[]}", "at least one message");
    check_bad("{\"messages\":\"a\"}", "must be an array");
    check_bad("{\"messages\":[7]}", "\"messages\"[0]: must be an object");
    check_bad("{\"messages\":[{\"content\":\"a\"}]}",
              "\"messages\"[0]: \"role\" must be a string, not nothing");
    check_bad("{\"messages\":[{\"role\":\"user\"}]}", "\"content\" must be a string or a list of parts, not nothing");
    check_bad(
        "{\"messages\":[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"assistant\",\"content\":null}]}",
        "\"messages\"[1]: \"content\" must be a string or a list of parts, not null");
    check_bad("{\"messages\":[{\"role\":\"User\",\"content\":\"a\"}]}", "no supervised token");
    check_bad("{\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]}", "no supervised token");
}

#define USER       "{\"role\":\"user\",\"content\":\"u\"}"
#define ANSWER     "{\"role\":\"assistant\",\"content\":\"a\"}"
#define SAYS(more) "{\"messages\":[" USER ",{\"role\":\"assistant\",\"content\":\"a\"" more "}]}"

/* What would change what is trained is not passed over. */
static void test_silent_keys(void **state)
{
    (void)state;
    static const char *const of_lines[] = {"\"weight\":0",
                                           "\"weight\":0.5",
                                           "\"train\":false",
                                           "\"chosen\":\"x\"",
                                           "\"rejected\":\"x\"",
                                           "\"functions\":[{}]",
                                           "\"tool_calls\":[1]",
                                           "\"chat_template_kwargs\":{\"a\":1}",
                                           "\"images\":[\"x.png\"]",
                                           "\"image\":{\"bytes\":\"x\"}",
                                           "\"audio\":\"x\""};
    static const char *const of_messages[] = {"\"function_call\":{\"name\":\"f\"}", "\"loss\":false",
                                              "\"images\":[\"x.png\"]"};
    static const char *const of_spoken[] = {"\"tool_calls\":[{}]", "\"thinking\":\"x\"",
                                            "\"reasoning_content\":\"x\"", "\"reasoning\":\"x\""};
    static const char *const forms[] = {"\"text\":\"a\"",
                                        "\"prompt\":\"a\",\"completion\":\"b\"",
                                        "\"instruction\":\"a\",\"output\":\"b\"",
                                        "\"messages\":[" USER "," ANSWER "]",
                                        "\"prompt\":[" USER "],\"completion\":[" ANSWER "]",
                                        "\"conversations\":[{\"from\":\"gpt\",\"value\":\"a\"}]"};
    char line[512], name[64];
    for (size_t k = 0; k < sizeof of_lines / sizeof *of_lines; k++)
        for (size_t f = 0; f < sizeof forms / sizeof *forms; f++) {
            snprintf(line, sizeof line, "{%s,%s}", forms[f], of_lines[k]);
            snprintf(name, sizeof name, "has %.*s, which would change", (int)strcspn(of_lines[k], ":"),
                     of_lines[k]);
            check_bad(line, name);
        }
    for (size_t k = 0; k < sizeof of_messages / sizeof *of_messages; k++) {
        snprintf(line, sizeof line, "{\"messages\":[" USER ",{\"role\":\"assistant\",\"content\":null,%s}]}",
                 of_messages[k]);
        snprintf(name, sizeof name, "\"messages\"[1]: has %.*s, which would change",
                 (int)strcspn(of_messages[k], ":"), of_messages[k]);
        check_bad(line, name);
    }
    for (size_t k = 0; k < sizeof of_spoken / sizeof *of_spoken; k++) {
        snprintf(line, sizeof line, "{\"conversations\":[{\"from\":\"gpt\",\"value\":\"a\",%s}]}", of_spoken[k]);
        snprintf(name, sizeof name, "\"conversations\"[0]: has %.*s, which would change",
                 (int)strcspn(of_spoken[k], ":"), of_spoken[k]);
        check_bad(line, name);
    }
    for (size_t f = 0; f < 3; f++) { /* no conversations */
        snprintf(line, sizeof line, "{%s,\"tools\":[{}]}", forms[f]);
        check_bad(line, "has \"tools\", which would change");
        snprintf(line, sizeof line, "{%s,\"documents\":[{}]}", forms[f]);
        check_bad(line, "has \"documents\", which would change");
    }
    check_bad("{\"prompt\":\"a\",\"completion\":\"b\",\"system\":\"x\"}", "has \"system\"");
    check_bad("{\"messages\":[" USER "," ANSWER "],\"system\":\"x\"}", "has \"system\"");
    check_bad("{\"messages\":[" USER "," ANSWER "],\"history\":[[\"x\",\"y\"]]}", "has \"history\"");
    check_bad("{\"prompt\":\"a\",\"completion\":\"b\",\"label\":false}", "has \"label\"");

    /* What says nothing, and what is only so called, is no reason. */
    struct err e;
    static const char *const good[] = {
        "{\"text\":\"a\",\"label\":1}",
        "{\"text\":\"a\",\"weight\":1,\"train\":true,\"chosen\":null,\"tools\":[],\"images\":\"\"}",
        "{\"text\":\"a\",\"weight\":1.0,\"reasoning\":\"x\"}",
        SAYS(",\"tool_calls\":[],\"weight\":1,\"train\":true,\"thinking\":null,\"name\":\"x\""),
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        if (parse(good[i], plain, &usual, &e))
            fail_msg("%s: %s", good[i], e.message);
}

/* Other columns of a table do not stand in the way of its conversations. */
static void test_columns_beside_messages(void **state)
{
    (void)state;
    struct err e;
    static const char *const lines[] = {SAYS(""),
                                        "{\"prompt\":\"u\",\"messages\":[" USER
                                        ",{\"role\":\"assistant\",\"content\":\"a\"}],\"prompt_id\":\"7\"}",
                                        "{\"completion\":\"a\",\"messages\":[" USER
                                        ",{\"role\":\"assistant\",\"content\":\"a\"}]}"};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        assert_ok(parse(lines[i], plain, &usual, &e), &e);
        assert_int_equal(ex.form, EXAMPLE_MESSAGES);
        assert_int_equal(ex.supervised_count, 2);
    }
}

/* ChatML writes every role alike; what a tool or the developer says is not learnt. */
static void test_roles(void **state)
{
    (void)state;
    check("{\"messages\":[{\"role\":\"system\",\"content\":\"\"},{\"role\":\"tool\",\"content\":\"t\"},"
          "{\"role\":\"developer\",\"content\":\"d\"},{\"role\":\"assistant\",\"content\":\"a\"}]}",
          plain, &usual, "<system|>|<tool|t>|<developer|d>|<assistant|a>|",
          "00000000000000000000000000000000000000000000110");
}

/* A template's markers in a vocabulary that does not have them. */
static void test_markers_that_are_no_tokens(void **state)
{
    (void)state;
    struct err e;
    struct tokenizer *none = tiny_tokenizer_open(TINY_NO_MARKERS);
    assert_error(parse(SAYS(""), none, &usual, &e), &e, ERR_UNSUPPORTED,
                 "<|im_end|>, which the chat template puts after each answer, is not a token");
    assert_ok(parse("{\"text\":\"a\"}", none, &usual, &e), &e);
    tokenizer_close(none);
}

static void test_what_the_model_lacks(void **state)
{
    (void)state;
    struct err e;
    struct tokenizer *no_eos = tiny_tokenizer_open(TINY_NO_EOS),
                     *none = tiny_tokenizer_open(TINY_NO_TEMPLATE),
                     *broken = tiny_tokenizer_open(TINY_BROKEN_TEMPLATE);
    const char *messages = "{\"messages\":[{\"role\":\"assistant\",\"content\":\"a\"}]}";
    assert_int_equal(parse("{\"text\":\"a\"}", no_eos, &usual, &e), ERR_UNSUPPORTED);
    assert_non_null(strstr(e.message, "eos_token"));
    assert_int_equal(parse("{\"prompt\":\"a\",\"completion\":\"b\"}", no_eos, &usual, &e), ERR_UNSUPPORTED);
    assert_int_equal(parse(messages, no_eos, &usual, &e), ERR_OK); /* the template ends the turn */
    assert_int_equal(parse(messages, none, &usual, &e), ERR_UNSUPPORTED);
    assert_int_equal(parse(messages, broken, &usual, &e), ERR_FORMAT);
    assert_non_null(strstr(e.message, "tokenizer_config.json: chat_template"));
    assert_non_null(strstr(e.message, "line 1, column 88"));
    assert_int_equal(parse("{\"text\":\"a\"}", broken, &usual, &e), ERR_OK);
    tokenizer_close(no_eos);
    tokenizer_close(none);
    tokenizer_close(broken);
}

/* Every proper beginning of a good line is a bad line. */
static void test_cut_lines(void **state)
{
    (void)state;
    const char *line = "{\"messages\":[{\"role\":\"user\",\"content\":\"\\u00e9\"},{\"role\":\"assistant\","
                       "\"content\":\"b\"}]}";
    struct err e;
    struct chat *chat = tiny_chat_open(plain);
    const struct example_options options = {.max_length = 1000, .chat = chat};
    for (size_t length = 0; length < strlen(line); length++)
        assert_int_equal(example_parse(&ex, &scratch, plain, line, length, &options, &e), ERR_DATA);
    assert_int_equal(example_parse(&ex, &scratch, plain, line, strlen(line), &options, &e), ERR_OK);
    chat_close(chat);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_no_doubled_bos),
        cmocka_unit_test(test_completion),
        cmocka_unit_test(test_messages),
        cmocka_unit_test(test_straddling_token),
        cmocka_unit_test(test_train_on_all),
        cmocka_unit_test(test_truncation),
        cmocka_unit_test(test_bad_lines),
        cmocka_unit_test(test_advice),
        cmocka_unit_test(test_advice_on_mistakes),
        cmocka_unit_test(test_notes),
        cmocka_unit_test(test_bad_messages),
        cmocka_unit_test(test_silent_keys),
        cmocka_unit_test(test_columns_beside_messages),
        cmocka_unit_test(test_roles),
        cmocka_unit_test(test_markers_that_are_no_tokens),
        cmocka_unit_test(test_what_the_model_lacks),
        cmocka_unit_test(test_cut_lines),
    };
    return cmocka_run_group_tests(tests, open_tokenizers, close_tokenizers);
}
