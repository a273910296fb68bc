"""The words that techniques say to models, in English and Japanese, all in one place.

A technique speaks the language of the question, because a model that is asked in another language
than it should answer in mixes the two. Only the keywords of ReAct stay English: they are cut and
parsed by, and models have seen them in no other language.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from kataribe.use.prompts.template import Template

_JAPANESE = re.compile(r"[぀-ヿㇰ-ㇿ㐀-鿿豈-﫿ｦ-ﾟ々]")
_LATIN = re.compile(r"[A-Za-zÀ-ɏ]")
_APART = re.compile(r"```.*?```|`[^`\n]*`|「[^」]*」|『[^』]*』|\"[^\"\n]*\"|“[^”]*”", re.DOTALL)
LETTERS_A_CHARACTER = 2.5
"""A Japanese character says about as much as so many Latin letters."""


@dataclass(frozen=True, slots=True)
class Wording:
    """What techniques say, in one language; each field is one prompt of one technique.

    Attributes:
        instructed: An instruction before the question.
        think: Chain of thought: reasons and answer in one reply.
        think_only: The reasons alone, before a reply that must have a form.
        think_done: The reply after those reasons.
        know: One statement of knowledge.
        know_done: The question with that knowledge.
        thought: The next step in a tree of thoughts.
        thought_judge: How good the steps so far are.
        thought_done: The answer from the best steps.
        passages: The question with what was found for it.
        no_passages: The question where nothing was found.
        plan: A plan for a task.
        plan_step: One step of that plan.
        plan_done: The whole reply from what the steps gave.
        react: How to think, act and answer.
        react_reminder: What to write instead of something that is neither action nor answer.
        react_last: No step is left.
        guess: An instruction that fits examples.
        guess_example: One of those examples.
        nothing: For a list that is empty.
    """

    instructed: Template
    think: Template
    think_only: Template
    think_done: Template
    know: Template
    know_done: Template
    thought: Template
    thought_judge: Template
    thought_done: Template
    passages: Template
    no_passages: Template
    plan: Template
    plan_step: Template
    plan_done: Template
    react: Template
    react_reminder: str
    react_last: str
    guess: Template
    guess_example: Template
    nothing: str


ENGLISH = Wording(
    instructed=Template("{{instruction}}\n\n{{question}}"),
    think=Template(
        "{{question}}\n\nThink step by step. Then write the answer, and nothing else, on a last "
        'line that begins with "Answer:".'
    ),
    think_only=Template(
        "{{question}}\n\nDo not answer yet. First think step by step about what the answer must "
        "be, and write down your reasoning."
    ),
    think_done=Template(
        "{{question}}\n\nThis was thought about it:\n{{reasoning}}\n\nNow give the answer."
    ),
    know=Template(
        "Write one fact or rule that helps to answer the question below. Do not answer the "
        "question.\n\nQuestion: {{question}}"
    ),
    know_done=Template(
        "{{question}}\n\nThese statements may help. Use those that are right:\n{{knowledge}}"
    ),
    thought=Template(
        "Question: {{question}}\n\nSteps so far:\n{{steps}}\n\nWrite only the next step of the "
        "solution, in one or two sentences. If the steps so far give all that is needed, write "
        'the answer on a line that begins with "Answer:" instead.'
    ),
    thought_judge=Template(
        "Question: {{question}}\n\nSteps so far:\n{{steps}}\n\nHow likely do these steps lead to "
        "the right answer? Check them in a sentence. Then write a last line that begins with "
        '"Score:", with a number from 1 (wrong) to 10 (certainly right).'
    ),
    thought_done=Template(
        "{{question}}\n\nThese steps lead to the answer:\n{{steps}}\n\nWrite the solution along "
        'these steps, and the answer on a last line that begins with "Answer:".'
    ),
    passages=Template(
        "Passages:\n\n{{passages}}\n\nAnswer from these passages only. Behind each statement put "
        "the number of the passage that it rests on in brackets, like [1]. If the passages do not "
        "hold the answer, say so.\n\nQuestion: {{question}}"
    ),
    no_passages=Template(
        "A search for passages about the question below found nothing. Say that nothing was "
        "found; if you answer from your own knowledge, say that you do.\n\nQuestion: {{question}}"
    ),
    plan=Template(
        "Make a plan for the task below, and do not begin with the task itself. Write at most "
        "{{most}} numbered steps, each on one line.\n\nTask: {{question}}"
    ),
    plan_step=Template(
        "Task: {{question}}\n\nPlan:\n{{plan}}\n\nDone so far:\n{{done}}\n\nDo step {{number}} "
        "now: {{step}}\nWrite only what this step gives."
    ),
    plan_done=Template(
        "{{question}}\n\nThe steps towards this gave:\n{{done}}\n\nNow write the whole answer."
    ),
    react=Template(
        "Answer the question below. You can use these tools:\n\n{{tools}}\n\nWrite in exactly "
        "this form:\n\nThought: what you think about what to do next\nAction: the name of one "
        "tool ({{names}})\nAction Input: its arguments as a JSON object\n\nThen stop. You are "
        'given the result on a line that begins with "Observation:", and go on with the next '
        "Thought. When you know the answer, write:\n\nThought: I know the answer now.\n"
        "Final Answer: the answer\n\nQuestion: {{question}}"
    ),
    react_reminder=(
        'This is neither an action nor an answer. Write "Action:" and "Action Input:" to use a '
        'tool, or "Final Answer:" with the answer.'
    ),
    react_last=(
        'No tool can be used any more. Write "Final Answer:" and the best answer that the '
        "observations so far give; say what is still open."
    ),
    guess=Template(
        "Somebody was given an instruction, and wrote these outputs for these inputs by "
        "it:\n\n{{examples}}\n\nWrite the instruction. Write nothing else."
    ),
    guess_example=Template("Input: {{question}}\nOutput: {{answer}}"),
    nothing="(nothing yet)",
)

JAPANESE = Wording(
    instructed=Template("{{instruction}}\n\n{{question}}"),
    think=Template(
        "{{question}}\n\n順を追って考えてください。その後、最後の行に「答え:」に続けて答えだけを"
        "書いてください。"
    ),
    think_only=Template(
        "{{question}}\n\nまだ答えないでください。まず、答えがどうなるかを順を追って考え、"
        "その考えを書いてください。"
    ),
    think_done=Template(
        "{{question}}\n\nこれについて次のように考えました。\n{{reasoning}}\n\n"
        "では、答えを書いてください。"
    ),
    know=Template(
        "次の質問に答えるのに役立つ事実や法則を一つ書いてください。質問には答えないでください。"
        "\n\n質問: {{question}}"
    ),
    know_done=Template(
        "{{question}}\n\n次の記述が参考になるかもしれません。正しいものだけを使ってください。"
        "\n{{knowledge}}"
    ),
    thought=Template(
        "質問: {{question}}\n\nここまでの手順:\n{{steps}}\n\n解き方の次の一手だけを一、二文で"
        "書いてください。ここまでの手順で答えが出せるなら、代わりに「答え:」で始まる行に答えを"
        "書いてください。"
    ),
    thought_judge=Template(
        "質問: {{question}}\n\nここまでの手順:\n{{steps}}\n\nこの手順は正しい答えに"
        "つながりそうですか。一文で確かめてください。その後、最後の行に「点数:」に続けて"
        "1(誤り)から10(確実に正しい)までの数を書いてください。"
    ),
    thought_done=Template(
        "{{question}}\n\n次の手順で答えが出ます。\n{{steps}}\n\nこの手順に沿って解き方を書き、"
        "最後の行に「答え:」に続けて答えを書いてください。"
    ),
    passages=Template(
        "資料:\n\n{{passages}}\n\nこの資料だけをもとに答えてください。文ごとに、もとにした資料の"
        "番号を [1] のように角括弧で付けてください。資料に答えがなければ、そう書いてください。"
        "\n\n質問: {{question}}"
    ),
    no_passages=Template(
        "次の質問について資料を探しましたが、何も見つかりませんでした。見つからなかったことを"
        "伝えてください。自分の知識で答える場合は、そう断ってください。\n\n質問: {{question}}"
    ),
    plan=Template(
        "次の課題の計画を立ててください。課題そのものにはまだ取りかからないでください。"
        "番号を付けた手順を一行ずつ、多くても{{most}}個書いてください。\n\n課題: {{question}}"
    ),
    plan_step=Template(
        "課題: {{question}}\n\n計画:\n{{plan}}\n\nここまでの結果:\n{{done}}\n\n"
        "今は手順{{number}}を行ってください: {{step}}\nこの手順の結果だけを書いてください。"
    ),
    plan_done=Template(
        "{{question}}\n\nこのための手順の結果は次のとおりです。\n{{done}}\n\n"
        "では、答えの全体を書いてください。"
    ),
    react=Template(
        "下の質問に答えてください。次の道具が使えます。\n\n{{tools}}\n\n必ず次の形で書いてください。"
        "\n\nThought: 次に何をするかについての考え\nAction: 使う道具の名前({{names}} のどれか一つ)"
        "\nAction Input: 引数(JSON オブジェクト)\n\nここで止めてください。結果が「Observation:」で"
        "始まる行で渡されるので、次の Thought から続けてください。答えが分かったら次のように"
        "書いてください。\n\nThought: 答えが分かった。\nFinal Answer: 答え\n\n質問: {{question}}"
    ),
    react_reminder=(
        "これは行動でも答えでもありません。道具を使うなら「Action:」と「Action Input:」を、"
        "答えるなら「Final Answer:」に続けて答えを書いてください。"
    ),
    react_last=(
        "もう道具は使えません。「Final Answer:」に続けて、これまでの Observation から言える"
        "いちばん良い答えを書き、分からないことがあればそれも書いてください。"
    ),
    guess=Template(
        "ある人が一つの指示を受け、それに従って次の入力に対して次の出力を書きました。\n\n"
        "{{examples}}\n\nその指示を書いてください。指示のほかには何も書かないでください。"
    ),
    guess_example=Template("入力: {{question}}\n出力: {{answer}}"),
    nothing="(まだありません)",
)


def wording_for(question: str, earlier: Iterable[str] = ()) -> Wording:
    """The words in the language of the question.

    By its script; code and quotations, which may be in any language, count only where there is
    nothing else. A question without letters is in the language of what was said last before it
    (`earlier`, first turn first), and in English where that says nothing either.
    """
    for text in (question, *reversed(list(earlier))):
        for part in (_APART.sub(" ", text), text):
            japanese = len(_JAPANESE.findall(part)) * LETTERS_A_CHARACTER
            latin = len(_LATIN.findall(part))
            if japanese or latin:
                return JAPANESE if japanese > latin else ENGLISH
    return ENGLISH
