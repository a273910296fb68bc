#!/bin/sh
# From text to a chat with a model of one's own, on Python's standard library and Japanese text.
#
#   recipes/laptop.sh                an hour on two cores
#   RECIPE=five recipes/laptop.sh    five minutes: it writes words, and knows little
#   RECIPE=tiny recipes/laptop.sh    under a minute: it babbles, but every step is taken
#
# NAME      what the models are called                              [laptop-RECIPE]
# SOURCES   what is read (see kataribe corpus make --help)          [by RECIPE]
# MANUALS   whose manual pages are asked about, in Japanese         [by RECIPE]
# KATARIBE  how the program is called                               [kataribe]
# The steps one by one: docs/from-zero.md. None is taken twice; a training that was stopped goes on.
set -eu

RECIPE=${RECIPE:-full}
NAME=${NAME:-laptop-$RECIPE}
kataribe=${KATARIBE:-kataribe} home=${KATARIBE_HOME:-$HOME/.kataribe}
pages="debian:manpages-ja debian:manpages-ja-dev debian:manpages debian:manpages-dev"
case $RECIPE in
tiny)
    sources=stdlib manuals='' read="--megabytes 0.3" pieces=1024 asked=8 words=16
    questions="--most 40 --valid-share 0.3"
    pretrain="--layers 2 --width 64 --tokens 8192 --context 128 --batch-tokens 2048"
    instruct="--epochs 1 --batch-tokens 1024 --too-long drop"
    ;;
five)
    sources="stdlib debian:manpages-ja" manuals=debian:manpages-ja pieces=4096 asked=100 words=96
    read="--megabytes 12 --language ja,en,code" questions="--most 3000"
    pretrain="--minutes 2 --context 256"
    instruct="--epochs 2 --batch-tokens 4096 --too-long drop"
    ;;
full)
    sources="stdlib $pages debian:debian-reference-ja debian:debian-handbook" manuals=$pages
    read="--megabytes 60 --language ja,en,code" pieces=16384 asked=300 words=128
    questions="--most 12000" pretrain="--minutes 35 --context 512"
    instruct="--epochs 3 --batch-tokens 8192 --too-long drop"
    ;;
*) echo "RECIPE is $RECIPE; it must be tiny, five or full." >&2 && exit 2 ;;
esac
for each in ${MANUALS-$manuals}; do questions="$questions --from manuals:$each"; done

step() { # step PLACE COMMAND...: takes a step unless what it makes is there
    place=$home/$1 && shift
    if [ -e "$place" ]; then echo "== $place is there already" >&2 && return; fi
    if [ "$1" = train ]; then # the place is the model's; a run of its name that is not done goes on
        case $($kataribe runs show "${place##*/}" 2>/dev/null | sed -n 's/^state  *//p') in
        '' | done) ;;
        *) set -- runs resume "${place##*/}" ;;
        esac
    fi
    echo "== kataribe $*" >&2
    [ "$1" = eval ] || $kataribe "$@"
    [ "$1" != eval ] || { $kataribe "$@" >"$place.part"; mv "$place.part" "$place"; }
    [ -e "$place" ] || { echo "It was stopped. The same command goes on with it." >&2 && exit 1; }
}

# shellcheck disable=SC2086 # the settings above are lists of words
{
    step "corpora/$NAME" corpus make "$NAME" ${SOURCES:-$sources} $read
    step "tokenizers/$NAME" tokenizer train "$NAME" "$NAME" --size $pieces
    step "models/$NAME-base" train pretrain "$NAME" --tokenizer "$NAME" --name "$NAME-base" $pretrain
    step "corpora/$NAME-questions" corpus instructions "$NAME-questions" $questions \
        --from stdlib --from stdlib:ja
    step "models/$NAME" train instruct "$NAME-questions" --base "$NAME-base" --name "$NAME" $instruct
    step "$NAME-eval.txt" eval "$NAME" --base "$NAME-base" --on "$NAME-questions" --most $asked \
        --max-tokens $words --show 3 --local
    cat "$home/$NAME-eval.txt"
    step "$NAME.q8_0.gguf" export "$NAME" "$home/$NAME.q8_0.gguf"
}

echo "== kataribe up: the studio and the API, for as long as this takes" >&2
$kataribe up --port 0 --no-open --model "$NAME" &
server=$! tries=0
trap 'kill $server 2>/dev/null && wait $server || true' EXIT
until $kataribe models ps >/dev/null 2>&1; do
    [ $((tries += 1)) -lt 60 ] || { echo "The server did not start." >&2; exit 1; }
    sleep 1
done
$kataribe ask --model "$NAME" --max-tokens 40 'textwrap.dedent はどのモジュールにありますか。'
[ ! -t 0 ] || $kataribe chat --model "$NAME"
