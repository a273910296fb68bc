#!/bin/sh
# From text to a chat with a model of one's own, on Python's standard library and Japanese text.
#
#   recipes/laptop.sh                an hour on two cores
#   RECIPE=five recipes/laptop.sh    five minutes: it writes words, and knows little
#   RECIPE=tiny recipes/laptop.sh    under a minute: it babbles, but every step is taken
#
# NAME      what the models are called                      [laptop-RECIPE]
# SOURCES   what is read (see kataribe corpus make --help)  [by RECIPE]
# KATARIBE  how the program is called                       [kataribe]
# Every step can be looked at afterwards (kataribe corpus show, runs show, ...) and taken alone; a
# step that was taken is not taken again.
set -eu

RECIPE=${RECIPE:-full}
NAME=${NAME:-laptop-$RECIPE}
kataribe=${KATARIBE:-kataribe}
home=${KATARIBE_HOME:-$HOME/.kataribe}
japanese="debian:manpages-ja debian:manpages-ja-dev debian:debian-reference-ja debian:debian-handbook"

case $RECIPE in
tiny)
    sources=stdlib read="--megabytes 0.3" pieces=1024 asked=8 words=16
    questions="--most 60 --valid-share 0.3"
    pretrain="--layers 2 --width 64 --tokens 8192 --context 128 --batch-tokens 2048"
    instruct="--epochs 1 --batch-tokens 1024 --too-long drop"
    ;;
five)
    sources="stdlib debian:manpages-ja" read="--megabytes 12 --language ja,en,code"
    pieces=4096 asked=100 words=64 questions="--most 4000"
    pretrain="--minutes 2 --context 256"
    instruct="--epochs 2 --batch-tokens 8192 --too-long drop"
    ;;
full)
    sources="stdlib $japanese" read="--megabytes 60 --language ja,en,code"
    pieces=16384 asked=300 words=64 questions="--most 20000"
    pretrain="--minutes 35 --context 512"
    instruct="--epochs 3 --too-long drop"
    ;;
*)
    echo "RECIPE is $RECIPE; it must be tiny, five or full." >&2
    exit 2
    ;;
esac

step() { # step PLACE COMMAND...: takes a step unless what it makes is there
    place=$home/$1
    shift
    if [ -e "$place" ]; then
        echo "== $place is there already" >&2
    else
        echo "== kataribe $*" >&2
        $kataribe "$@"
    fi
}

# shellcheck disable=SC2086 # the settings above are lists of words
{
    step "corpora/$NAME" corpus make "$NAME" ${SOURCES:-$sources} $read
    step "tokenizers/$NAME" tokenizer train "$NAME" "$NAME" --size $pieces
    step "models/$NAME-base" train pretrain "$NAME" --tokenizer "$NAME" --name "$NAME-base" $pretrain
    step "corpora/$NAME-questions" corpus instructions "$NAME-questions" $questions
    step "models/$NAME" train instruct "$NAME-questions" --base "$NAME-base" --name "$NAME" $instruct
    step "$NAME-eval" eval "$NAME" --base "$NAME-base" --on "$NAME-questions" --most $asked \
        --max-tokens $words --show 3 --local
    step "$NAME.q8_0.gguf" export "$NAME" "$home/$NAME.q8_0.gguf"
}

echo "== kataribe up: the studio and the API, for as long as this takes" >&2
$kataribe up --port 0 --no-open --model "$NAME" &
server=$!
trap 'kill $server 2>/dev/null && wait $server || true' EXIT
tries=0
until $kataribe models ps >/dev/null 2>&1; do
    [ $((tries += 1)) -lt 60 ] || { echo "The server did not start." >&2; exit 1; }
    sleep 1
done
$kataribe ask --model "$NAME" --max-tokens 40 'What does the function `textwrap.dedent` do?'
[ ! -t 0 ] || $kataribe chat --model "$NAME"
