/* Preference pairs: the two sides, what is supervised in them, how they are cut, and which are refused. */
#include "unit.h"

#include "tiny_lines.h"

static const struct example_options pairs = {.max_length = 1000, .pairs = PAIRS_TAKEN};

#define USER(text)   "{\"role\":\"user\",\"content\":\"" text "\"}"
#define ANSWER(text) "{\"role\":\"assistant\",\"content\":\"" text "\"}"
#define PAIR(chosen, rejected) "\"chosen\":" chosen ",\"rejected\":" rejected "}"
#define SAID(who, text) "{\"from\":\"" who "\",\"value\":\"" text "\"}"
#define SYSTEM       "{\"role\":\"system\",\"content\":\"\"}"

static void check_pair(const char *line, const struct tokenizer *t, const struct example_options *options,
                       const char *const tokens[2], const char *const masks[2])
{
    char all_tokens[1000], all_masks[1000];
    snprintf(all_tokens, sizeof all_tokens, "%s%s", tokens[0], tokens[1]);
    snprintf(all_masks, sizeof all_masks, "%s%s", masks[0], masks[1]);
    check(line, t, options, all_tokens, all_masks);
    assert_int_equal(ex.split, strlen(tokens[0]));
}

static void test_strings(void **state)
{
    (void)state;
    const char *line = "{\"prompt\":\"ab\",\"chosen\":\"cd\",\"rejected\":\"e\",\"score_chosen\":9}";
    check_pair(line, plain, &pairs, (const char *const[]){"abcd$", "abe$"}, (const char *const[]){"00111", "0011"});
    assert_int_equal(ex.form, EXAMPLE_PREFERENCE);
    assert_int_equal(ex.whole_count, 5);
    assert_false(ex.truncated);
    check_pair("{\"margin\":0,\"prompt\":\"a\",\"chosen\":\"b\",\"rejected\":\"c\"}", plain, &pairs,
               (const char *const[]){"ab$", "ac$"}, (const char *const[]){"011", "011"});
    assert_false(ex.notes >> NOTE_FULL & 1); /* of a prompt of one token, the rest is the answer */
    check_pair(line, with_both, &pairs, (const char *const[]){"^abcd$", "^abe$"},
               (const char *const[]){"000111", "00011"});
    check_pair("{\"prompt\":\"a\",\"chosen\":\"b<|eos|>\",\"rejected\":\"c\"}", plain, &pairs,
               (const char *const[]){"ab$", "ac$"}, (const char *const[]){"011", "011"});
    check("{\"text\":\"abc\"}", plain, &pairs, "abc$", "0111");
    assert_int_equal(ex.split, 0);
}

/* An answer may begin with the word that it answers, and one answer with the question. */
static void test_repeated_words(void **state)
{
    (void)state;
    check_pair("{\"prompt\":\"Hi\"," PAIR("\"Hi you\"", "\"Hi!\""), plain, &pairs,
               (const char *const[]){"HiHi you$", "HiHi!$"}, (const char *const[]){"001111111", "001111"});
    check_pair("{\"prompt\":\"Q: a\"," PAIR("\"Q: a b\"", "\"c\""), plain, &pairs,
               (const char *const[]){"Q: aQ: a b$", "Q: ac$"}, (const char *const[]){"00001111111", "000011"});
}

/* The prompt of strings ends where their tokens part. */
static void test_shared_beginning(void **state)
{
    (void)state;
    check_pair("{\"chosen\":\"Q: cat\",\"rejected\":\"Q: cow!\"}", with_bos, &pairs,
               (const char *const[]){"^Q: cat$", "^Q: cow!$"}, (const char *const[]){"00000111", "000001111"});
    check_pair("{\"chosen\":\"a\\nhi\",\"rejected\":\"a\\nno\"}", plain, &pairs,
               (const char *const[]){"a~i$", "a|no$"}, (const char *const[]){"0111", "01111"});
}

/* Neither half a character nor BOS alone is a prompt. */
static void test_no_shared_beginning(void **state)
{
    (void)state;
    struct err e;
    check_pair("{" PAIR("\"a\xC3\xA9 b\"", "\"a\xC3\xA8\""), plain, &pairs,
               (const char *const[]){"a\xC3\xA9 b$", "a\xC3\xA8$"}, (const char *const[]){"011111", "0111"});
    static const struct {
        const char *line, *reason;
    } cases[] = {
        {"{" PAIR("\"\xC3\xA9 yes\"", "\"\xC3\xA8 no\""), "do not begin with the same text"},
        {"{" PAIR("\"\\nhi\"", "\"\\nno\""), "do not begin with the same token: write what both answer as \"prompt\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_error(parse(cases[i].line, plain, &pairs, &e), &e, ERR_DATA, cases[i].reason);
        assert_error(parse(cases[i].line, with_bos, &pairs, &e), &e, ERR_DATA, cases[i].reason);
    }
    const char *empty = "{\"prompt\":\"\"," PAIR("\"yes\"", "\"no\"");
    assert_error(parse(empty, plain, &pairs, &e), &e, ERR_DATA, "the prompt has no token");
    check_pair(empty, with_bos, &pairs, (const char *const[]){"^yes$", "^no$"}, (const char *const[]){"01111", "0111"});
}

#define SIDE(answer) "<system|>|<user|u>|<assistant|" answer ">|"
#define HEADERS      "000000000000000000000000000000" /* up to the answer */

static void test_messages(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "{\"prompt\":[" SYSTEM "," USER("u") "],\"chosen\":[" ANSWER("a") "],\"rejected\":[" ANSWER("no") "]}",
        "{\"chosen\":[" SYSTEM "," USER("u") "," ANSWER("a") "],"
        "\"rejected\":[{\"content\":\"\",\"role\":\"system\"}," USER("u") "," ANSWER("no") "]}",
    };
    for (size_t i = 0; i < 2; i++) {
        check_pair(lines[i], plain, &pairs, (const char *const[]){SIDE("a"), SIDE("no")},
                   (const char *const[]){HEADERS "110", HEADERS "1110"});
        assert_int_equal(ex.form, EXAMPLE_PREFERENCE_MESSAGES);
    }
    /* An answer that both give is part of the prompt. */
    check_pair("{\"chosen\":[" SYSTEM "," ANSWER("x") "," USER("u") "," ANSWER("a") "],"
               "\"rejected\":[" SYSTEM "," ANSWER("x") "," USER("u") "," ANSWER("b") "]}",
               plain, &pairs,
               (const char *const[]){"<system|>|<assistant|x>|<user|u>|<assistant|a>|",
                                     "<system|>|<assistant|x>|<user|u>|<assistant|b>|"},
               (const char *const[]){"00000000000000" HEADERS "110", "00000000000000" HEADERS "110"});
}

/* The prompt is cut, after BOS, by as much on both sides. */
static void test_cutting(void **state)
{
    (void)state;
    const char *line = "{\"prompt\":\"abcdef\",\"chosen\":\"gh\",\"rejected\":\"i\"}";
    struct example_options options = pairs;
    struct err e;
    options.max_length = 5;
    check_pair(line, plain, &options, (const char *const[]){"efgh$", "efi$"}, (const char *const[]){"00111", "0011"});
    assert_true(ex.truncated);
    assert_int_equal(ex.whole_count, 9);
    check_pair(line, with_bos, &options, (const char *const[]){"^fgh$", "^fi$"},
               (const char *const[]){"00111", "0011"});
    options.max_length = 4;
    check_pair(line, with_bos, &options, (const char *const[]){"^gh$", "^i$"}, (const char *const[]){"0111", "011"});
    options.max_length = 3;
    assert_error(parse(line, with_bos, &options, &e), &e, ERR_DATA,
                 "of 10 tokens, --max-length 3 leaves nothing of the prompt of 7: --max-length 10 keeps them all");
}

/* Positions are counted in each side. */
static void test_positions(void **state)
{
    (void)state;
    const char *line = "{\"prompt\":\"abcdef\"," PAIR("\"gh\"", "\"i\"");
    struct example_options options = pairs;
    struct err e;
    for (options.positions = 0; options.positions < 12; options.positions++) {
        assert_ok(parse(line, plain, &options, &e), &e);
        assert_int_equal(ex.count, 9 + 8);
        assert_int_equal(ex.notes >> NOTE_BEYOND & 1, options.positions && options.positions < 9);
    }
    options.positions = 3;
    assert_ok(parse("{\"text\":\"abc\"}", plain, &options, &e), &e);
    assert_true(ex.notes >> NOTE_BEYOND & 1);
    options.max_length = 3; /* what is cut off needs no position */
    assert_ok(parse("{\"text\":\"abc\"}", plain, &options, &e), &e);
    assert_false(ex.notes >> NOTE_BEYOND & 1);
}

/* With --train-on all the chosen side's prompt counts for the likelihood, as far as it is kept. */
static void test_train_on_all(void **state)
{
    (void)state;
    const char *line = "{\"prompt\":\"abc\",\"chosen\":\"de\",\"rejected\":\"f\"}";
    struct example_options options = pairs;
    options.train_on = TRAIN_ON_ALL;
    check_pair(line, plain, &options, (const char *const[]){"abcde$", "abcf$"},
               (const char *const[]){"022111", "00011"});
    assert_int_equal(ex.supervised_count, 5 + 2);
    options.max_length = 5;
    check_pair(line, with_bos, &options, (const char *const[]){"^cde$", "^cf$"},
               (const char *const[]){"02111", "0011"});
    options.max_length = 1000;
    check_pair("{" PAIR("[" SYSTEM "," USER("u") "," ANSWER("a") "]", "[" SYSTEM "," USER("u") "," ANSWER("no") "]"),
               plain, &options, (const char *const[]){SIDE("a"), SIDE("no")},
               (const char *const[]){"022222222222222222222222222222112", HEADERS "1110"});
}

/* A pair whose sides share `shared` tokens: `own` and its masks are those of the rejected side after them. */
static void check_shared(const char *line, const struct tokenizer *t, const struct example_options *options,
                         size_t shared, const char *const tokens[2], const char *const masks[2])
{
    check_pair(line, t, options, tokens, masks);
    assert_int_equal(ex.shared, shared);
    struct example_options whole = *options;
    struct err e;
    const size_t count = ex.count, supervised = ex.supervised_count, whole_count = ex.whole_count;
    const unsigned notes = ex.notes;
    whole.shares = false;
    assert_ok(parse(line, t, &whole, &e), &e);
    assert_int_equal(ex.shared, 0);
    assert_int_equal(ex.count, count + shared);
    assert_memory_equal(ex.tokens, ex.tokens + ex.split, shared * sizeof *ex.tokens);
    assert_true(ex.supervised_count == supervised && ex.whole_count == whole_count && ex.notes == notes);
}

/* The prompt comes once, as far as both sides begin with the same tokens, after cutting. */
static void test_shared_prompts(void **state)
{
    (void)state;
    const char *line = "{\"prompt\":\"abcdef\",\"chosen\":\"gh\",\"rejected\":\"i\"}";
    struct example_options options = pairs;
    options.shares = true;
    check_shared(line, plain, &options, 6, (const char *const[]){"abcdefgh$", "i$"},
                 (const char *const[]){"000000111", "11"});
    check_shared("{\"prompt\":\"a\",\"chosen\":\"bc\",\"rejected\":\"bd\"}", plain, &options, 1,
                 (const char *const[]){"abc$", "bd$"}, (const char *const[]){"0111", "111"});
    check_shared("{\"chosen\":\"Q: cat\",\"rejected\":\"Q: cow!\"}", with_bos, &options, 5,
                 (const char *const[]){"^Q: cat$", "ow!$"}, (const char *const[]){"00000111", "1111"});
    check_shared("{" PAIR("[" SYSTEM "," USER("u") "," ANSWER("a") "]", "[" SYSTEM "," USER("u") "," ANSWER("no") "]"),
                 plain, &options, sizeof HEADERS - 1, (const char *const[]){SIDE("a"), "no>|"},
                 (const char *const[]){HEADERS "110", "1110"});
    options.max_length = 5;
    check_shared(line, with_bos, &options, 2, (const char *const[]){"^fgh$", "i$"},
                 (const char *const[]){"00111", "11"});
    options.max_length = 1000;
    options.train_on = TRAIN_ON_ALL; /* the chosen side's marks of the prompt count once in any case */
    check_shared(line, plain, &options, 6, (const char *const[]){"abcdefgh$", "i$"},
                 (const char *const[]){"022222111", "11"});
    check("{\"text\":\"abc\"}", plain, &options, "abc$", "0111");
    assert_int_equal(ex.shared, 0);
}

/* Sides of which only one is long for the model share nothing; each is counted with what it shares. */
static void test_shared_lengths(void **state)
{
    (void)state;
    const char *line = "{\"prompt\":\"abcdef\"," PAIR("\"gh\"", "\"ijkl\"");
    struct example_options options = pairs;
    struct err e;
    options.shares = true;
    for (options.short_positions = 0; options.short_positions < 14; options.short_positions++) {
        assert_ok(parse(line, plain, &options, &e), &e);
        assert_int_equal(ex.shared, options.short_positions == 9 || options.short_positions == 10 ? 0 : 6);
        assert_int_equal(ex.count, 9 + 11 - ex.shared);
        assert_int_equal(ex.whole_count, 11);
    }
    options.short_positions = 0;
    for (options.positions = 1; options.positions < 14; options.positions++) {
        assert_ok(parse(line, plain, &options, &e), &e);
        assert_int_equal(ex.notes >> NOTE_BEYOND & 1, options.positions < 11);
    }
}

struct bad {
    const char *line, *reason;
};

static void expect_reasons(const struct bad *cases, size_t count)
{
    struct err e;
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(parse(cases[i].line, plain, &pairs, &e), ERR_DATA);
        if (!strstr(e.message, cases[i].reason))
            fail_msg("%s says \"%s\", not \"%s\"", cases[i].line, e.message, cases[i].reason);
    }
}

static void test_bad_pairs(void **state)
{
    (void)state;
    static const struct bad cases[] = {
        {"{\"prompt\":\"a\"," PAIR("\"b\"", "\"b\""), "are the same: there is nothing to prefer"},
        {"{\"prompt\":\"a\"," PAIR("\"b\"", "\"b<|eos|>\""), "become the same tokens: there is nothing to prefer"},
        {"{\"prompt\":\"a\"," PAIR("\"b\"", "\"\""), "\"rejected\" has no answer"},
        {"{\"prompt\":\"a\"," PAIR("\" \\n\"", "\"b\""), "\"chosen\" has no answer"},
        {"{" PAIR("\"ab\"", "\"abc\""), "\"chosen\" has no answer"},
        {"{" PAIR("\"b\"", "\"c\""), "do not begin with the same text"},
        {"{\"question\":\"q\"," PAIR("\"a b\"", "\"a c\""), "--columns prompt=question reads it so"},
        {"{\"instruction\":\"q\"," PAIR("\"a b\"", "\"a c\""), "--columns prompt=instruction reads"},
        {"{\"instruction\":\"q\",\"input\":\"\"," PAIR("\"a b\"", "\"a c\""), "--columns prompt=instruction reads"},
        {"{\"instruction\":\"q\",\"input\":\"i\"," PAIR("\"a b\"", "\"a c\""),
         "has no \"prompt\", but \"instruction\" and \"input\": jq -c '.prompt = .instruction + \"\\n\" + .input"},
        {"{" PAIR("5", "6"), "\"chosen\" must be a string (or both answers lists of messages), not an integer"},
        {"{\"prompt\":\"a\"," PAIR("\"b\"", "[" ANSWER("c") "]"), "\"rejected\" must be a string"},
        {"{\"prompt\":\"a\"," PAIR("[" ANSWER("c") "]", "\"b\""),
         "\"rejected\" must be a list of messages, as \"chosen\" is, not a string"},
        {"{\"prompt\":[\"u\"]," PAIR("\"b\"", "\"c\""), "\"prompt\" must be a string, as the answers are"},
        {"{\"prompt\":\"u\"," PAIR("[" USER("u") "," ANSWER("a") "]", "[" USER("u") "," ANSWER("b") "]"),
         "\"prompt\" must be a list of messages, as the answers are, not a string (--columns unused=prompt "},
        {"{\"prompt\":[" USER("u") "]," PAIR("[" USER("u") "," ANSWER("a") "]", "[" USER("u") "," ANSWER("b") "]"),
         "\"chosen\" begins with the messages of \"prompt\": --columns unused=prompt "},
        {"{\"prompt\":[" USER("u") "]," PAIR("[" ANSWER("a") "]", "[" USER("u") "," ANSWER("b") "]"),
         "\"rejected\" begins with the messages of \"prompt\", and the other answer does not: take them out of it"},
        {"{\"prompt\":[" USER("u") "]," PAIR("[" USER("u") "," ANSWER("a") "]", "[" ANSWER("b") "]"),
         "\"chosen\" begins with the messages of \"prompt\", and the other answer does not: take"},
        {"{\"prompt\":\"Q: a\"," PAIR("\"Q: a yes\"", "\"Q: a no\""),
         "begin with the text of \"prompt\", which would be in each side twice: --columns unused=prompt "},
        {"{\"prompt\":\"Which queue is it?\"," PAIR("\"Which queue is it? a\"", "\"Which queue is it? b\""),
         "begin with the text of \"prompt\""},
        {"{" PAIR("[" USER("u") "," ANSWER("a") "]", "[" USER("v") "," ANSWER("b") "]"),
         "do not begin with the same message"},
        {"{" PAIR("[" USER("u") "," ANSWER("a") "]", "[" USER("u") "," USER("v") "]"),
         "answer different prompts: \"rejected\"[1], where they part, is of the role \"user\""},
        {"{" PAIR("[" USER("u") "]", "[" USER("u") "," ANSWER("b") "]"), "\"chosen\" has no answer"},
        {"{" PAIR("[" USER("u") "," ANSWER("b") "]", "[" USER("u") "," ANSWER("b") "]"), "are the same"},
        {"{\"prompt\":[" USER("u") "]," PAIR("[" ANSWER("") "]", "[" ANSWER("b") "]"), "\"chosen\" has no answer"},
        {"{\"prompt\":[" USER("u") "]," PAIR("[" USER("a") "]", "[" ANSWER("b") "]"),
         "no message has the role \"assistant\""},
        {"{\"prompt\":[" USER("u") "]," PAIR("[7]", "[" ANSWER("b") "]"), "\"chosen\"[0]: must be an object"},
        {"{\"prompt\":\"a\",\"chosen\":\"b\"}", "has \"prompt\" but no \"completion\""},
        {"{\"messages\":[]," PAIR("\"a\"", "\"b\""), "\"messages\" must be an array of at least one message"},
        {"{\"prompt\":\"p\",\"completion\":\"c\"," PAIR("\"a\"", "\"b\""),
         "both \"chosen\" and \"completion\", a line must have one form (--columns unused=completion "},
        {"{\"prompt\":\"p\",\"system\":\"s\"," PAIR("\"a\"", "\"b\""),
         "has \"system\" beside answers that are strings, which have no place for it: jq -c '{prompt: [{role: "},
        {"{\"system\":\"s\",\"question\":\"q\"," PAIR("\"a\"", "\"b\""), "content: .question} | select("},
        {"{\"system\":\"s\"," PAIR("[" USER("u") "," ANSWER("a") "]", "[" USER("u") "," ANSWER("b") "]"),
         "has \"system\", which would change what is trained"},
        {"{\"prompt\":\"p\",\"input\":\"i\"," PAIR("\"a\"", "\"b\""),
         "has \"input\", which would change what is trained, and inputs outside of the prompt are not supported"},
        {"{\"prompt\":\"p\",\"tools\":[{}]," PAIR("\"a\"", "\"b\""), "has \"tools\""},
        {"{\"prompt\":\"p\",\"weight\":0," PAIR("\"a\"", "\"b\""), "has \"weight\""},
        {"{\"prompt\":\"p\",\"margin\":0.5," PAIR("\"a\"", "\"b\""),
         "has \"margin\", which would change what is trained, and margins of single pairs are not supported (--columns "
         "unused=margin ignores them)"},
        {"{\"prompt\":\"p\",\"ref_chosen_logps\":-1," PAIR("\"a\"", "\"b\""), "has \"ref_chosen_logps\""},
    };
    expect_reasons(cases, sizeof cases / sizeof *cases);
}

static void test_bad_forms_of_pairs(void **state)
{
    (void)state;
    static const struct bad cases[] = {
        {"{\"prompt\":\"u\"," PAIR(ANSWER("b"), ANSWER("c")),
         "\"prompt\" must be a list of messages, as the answers are, not a string: jq -c '.prompt = [{role: \"user\", "
         "content: .prompt}]' FILE > NEW makes one of it"},
        {"{\"prompt\":\"a\"," PAIR("[\"b\"]", "[\"c\"]"),
         "\"chosen\" is a list of strings, and a side of a pair has one answer: jq -c '(.chosen, .rejected) |= if type "
         "== \"array\" then .[0] else . end' FILE > NEW takes the first of each"},
        {"{\"prompt\":\"a\"," PAIR("\"b\"", "[\"c\"]"), "\"rejected\" is a list of strings"},
        {"{\"conversations\":[]," PAIR(ANSWER("b"), ANSWER("c")), "\"conversations\" must be an array of at least one"},
        {"{\"conversations\":[{\"who\":\"u\"}]," PAIR(ANSWER("b"), ANSWER("c")),
         "\"conversations\"[0]: \"from\" must"},
        {"{\"conversations\":[" SAID("human", "u") "]," PAIR(SAID("bot", "b"), ANSWER("c")),
         "\"chosen\": \"from\" is \"bot\": it must be"},
        {"{\"conversations\":[" SAID("human", "u") "," SAID("gpt", "a") "]," PAIR(SAID("gpt", "b"), SAID("gpt", "c")),
         "\"conversations\" ends with an answer, and those of the pair come after it: jq -c '.conversations |= "
         ".[:-1]' FILE > NEW takes it away"},
        {"{\"conversations\":[" SAID("human", "u") "]," PAIR("[" ANSWER("b") "]", "[" ANSWER("c") "]"),
         "both \"chosen\" and \"conversations\""},
        {"{\"conversations\":[" SAID("human", "u") "]," PAIR(SAID("gpt", "b"), SAID("gpt", "b")), "are the same"},
        {"{\"conversations\":[" SAID("human", "u") "],\"history\":[[\"a\",\"b\"]]," PAIR("\"b\"", "\"c\""),
         "has \"history\", which"},
    };
    expect_reasons(cases, sizeof cases / sizeof *cases);
}

/* Other names for the fields go before that; a published layout without an objective. */
static void test_messages_of_pairs(void **state)
{
    (void)state;
    struct columns columns;
    struct err e;
    static const char line[] = "{\"prompt\":null,\"dialogue\":[" SAID("human", "u") "],\"good\":" SAID("gpt", "a")
                               ",\"rejected\":" SAID("gpt", "b") "}";
    assert_ok(columns_parse(&columns, "conversations=dialogue,chosen=good", &e), &e);
    struct example_options options = {.max_length = 1000, .pairs = PAIRS_ALONE, .columns = &columns};
    assert_ok(parse(line, plain, &options, &e), &e);
    assert_int_equal(ex.form, EXAMPLE_PREFERENCE_MESSAGES);
    columns_release(&columns);
    static const char *const lines[] = {"{\"conversations\":[" SAID("human", "u") "],\"system\":\"S\",",
                                        "{\"prompt\":[" USER("u") "],", "{\"messages\":[" USER("u") "],"};
    for (size_t i = 0; i < 3; i++) {
        char text[256];
        options = (struct example_options){.max_length = 1000};
        snprintf(text, sizeof text, "%s%s", lines[i], PAIR(SAID("gpt", "a"), SAID("gpt", "b")));
        assert_int_equal(parse(text, plain, &options, &e), ERR_DATA);
        assert_string_equal(e.message, "has two answers, \"chosen\" and \"rejected\": --objective learns from both");
    }
}

/* A layout that is published: each refusal names all that --columns must say, and the last is accepted. */
static void test_unused_columns(void **state)
{
    (void)state;
    static const char line[] = "{\"prompt\":\"u\",\"messages\":[" USER("u") "," ANSWER("a") "],\"unused\":1,"
                               PAIR("[" USER("u") "," ANSWER("a") "]", "[" USER("u") "," ANSWER("b") "]");
    static const char *const steps[][2] = {{"", "(--columns unused=messages leaves that out)"},
                                           {"unused=messages", "(--columns unused=messages,unused=prompt leaves it "},
                                           {"unused=messages,unused=prompt", NULL}};
    struct columns columns;
    struct err e;
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        struct example_options options = pairs;
        assert_ok(columns_parse(&columns, steps[i][0], &e), &e);
        options.columns = &columns;
        if (steps[i][1])
            assert_error(parse(line, plain, &options, &e), &e, ERR_DATA, steps[i][1]);
        else
            assert_ok(parse(line, plain, &options, &e), &e);
        columns_release(&columns);
    }
    assert_error(columns_parse(&columns, "unused=a,unused=a", &e), &e, ERR_USAGE, "\"a\" is given twice");
    assert_error(columns_parse(&columns, "text=a,text=b", &e), &e, ERR_USAGE, "\"text\" is given twice");
}

static void test_pairs_alone(void **state)
{
    (void)state;
    struct example_options options = pairs;
    struct err e;
    options.pairs = PAIRS_ALONE;
    assert_ok(parse("{\"prompt\":\"a\"," PAIR("\"b\"", "\"c\""), plain, &options, &e), &e);
    assert_error(parse("{\"prompt\":\"a\",\"completion\":\"b\"}", plain, &options, &e), &e, ERR_DATA,
                 "is not a preference pair: a line must have \"chosen\" and \"rejected\"");
    assert_error(parse("{\"prompt\":\"a\"," PAIR("\"b\"", "null"), plain, &options, &e), &e, ERR_DATA,
                 "has \"chosen\" but no \"rejected\", which is null: a preference pair has both");
    assert_error(parse("{\"prompt\":\"a\",\"rejected\":\"b\"}", plain, &options, &e), &e, ERR_DATA,
                 "has \"rejected\" but no \"chosen\": a preference pair has both");
}

/* Where pairs are not trained: what the message advises works. */
static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *line, *columns;
    } cases[] = {
        {"{\"prompt\":\"a\"," PAIR("\"b\"", "\"c\""), "completion=chosen,unused=rejected"},
        {"{" PAIR("\"b\"", "\"c\""), "text=chosen,unused=rejected"},
        {"{\"question\":\"a\"," PAIR("\"b\"", "\"c\""), "prompt=question,completion=chosen,unused=rejected"},
        {"{" PAIR("[" USER("u") "," ANSWER("a") "]", "[" USER("u") "," ANSWER("b") "]"),
         "messages=chosen,unused=rejected"},
        {"{\"prompt\":\"u\"," PAIR("[" USER("u") "," ANSWER("a") "]", "[" USER("u") "," ANSWER("b") "]"),
         "messages=chosen,unused=rejected"},
        {"{\"prompt\":[" USER("u") "]," PAIR("[" ANSWER("a") "]", "[" ANSWER("b") "]"),
         "completion=chosen,unused=rejected"},
        {"{" PAIR("[{\"from\":\"human\",\"value\":\"u\"},{\"from\":\"gpt\",\"value\":\"a\"}]",
                  "[{\"from\":\"human\",\"value\":\"u\"},{\"from\":\"gpt\",\"value\":\"b\"}]"),
         "conversations=chosen,unused=rejected"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char advice[128];
        struct columns columns;
        struct err e;
        struct example_options options = usual;
        snprintf(advice, sizeof advice, "--columns %s trains on the chosen answers alone", cases[i].columns);
        check_bad(cases[i].line, advice);
        assert_ok(columns_parse(&columns, cases[i].columns, &e), &e);
        options.columns = &columns;
        if (parse(cases[i].line, plain, &options, &e))
            fail_msg("--columns %s: %s: %s", cases[i].columns, cases[i].line, e.message);
        columns_release(&columns);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_strings),      cmocka_unit_test(test_shared_beginning),
        cmocka_unit_test(test_repeated_words), cmocka_unit_test(test_no_shared_beginning),
        cmocka_unit_test(test_messages),     cmocka_unit_test(test_cutting),
        cmocka_unit_test(test_bad_pairs),    cmocka_unit_test(test_pairs_alone),
        cmocka_unit_test(test_bad_forms_of_pairs), cmocka_unit_test(test_messages_of_pairs),
        cmocka_unit_test(test_unused_columns),
        cmocka_unit_test(test_positions),    cmocka_unit_test(test_train_on_all), cmocka_unit_test(test_refused),
        cmocka_unit_test(test_shared_prompts), cmocka_unit_test(test_shared_lengths),
    };
    return cmocka_run_group_tests(tests, open_tokenizers, close_tokenizers);
}
