import { useMemo } from "react";

import { shuffled } from "../conversation/compare";
import { useMessage, useTalk, useVote } from "../conversation/context";
import { isLive, type Id, type Message } from "../conversation/types";
import { useText } from "../i18n";
import { CheckIcon } from "../ui/icons";
import { useGoOn } from "../ui/useGoOn";
import { Branches } from "./Branches";
import { usePlace } from "./place";
import { ReplyView } from "./ReplyView";
import { Unread } from "./Unread";

const LETTERS = ["A", "B", "C", "D"];

interface Props {
  /** Replies that were asked for together. */
  ids: readonly Id[];
  /** The one on the branch that is shown: the conversation goes on from it. */
  shown: Id;
  group: Id;
  last: boolean;
  branches: { at: number; of: number; onStep: (to: number) => void };
}

/** Several models' replies to one question, side by side, with a vote on the best. */
export function Columns({ ids, shown, group, last, branches }: Props) {
  const text = useText();
  const { conversation } = usePlace();
  const { chats } = useTalk();
  const vote = useVote(conversation, group);
  const question = chats.get(conversation)?.tree.get(shown)?.parent ?? "";
  const blind = useAny(conversation, ids, (reply) => reply.asked["blind"] === true);
  const secret = vote === undefined && blind;
  const order = useMemo(
    () => (secret ? shuffled(question, ids) : [...ids]),
    [secret, question, ids],
  );
  return (
    <section className="side-by-side" aria-label={text.chat.sideBySide}>
      {branches.of > 1 ? <Branches {...branches} kind="reply" /> : null}
      {/* Focusable, because on a phone it is swiped sideways. */}
      <div className="columns" tabIndex={0} role="group" aria-label={text.chat.sideBySide}>
        {order.map((id, at) => (
          <Column
            key={id}
            id={id}
            alias={secret ? text.chat.anonymous(LETTERS[at] ?? "") : undefined}
            chosen={!secret && id === shown}
            last={last}
          />
        ))}
      </div>
      <Vote order={order} group={group} secret={secret} vote={vote} />
    </section>
  );
}

interface ColumnProps {
  id: Id;
  alias: string | undefined;
  chosen: boolean;
  last: boolean;
}

function Column({ id, alias, chosen, last }: ColumnProps) {
  const text = useText();
  const { conversation } = usePlace();
  const { acts } = useTalk();
  const reply = useMessage(conversation, id);
  const goOn = useGoOn((gone) => {
    const side = gone.parentElement;
    return () => side?.querySelector(".goes-on");
  });
  return (
    <div className={chosen ? "side chosen" : "side"}>
      {reply ? (
        <ReplyView reply={reply} last={last} branches={null} alias={alias} />
      ) : (
        <Unread height={120} kind="reply" />
      )}
      {alias !== undefined ? null : chosen ? (
        <p className="small soft goes-on" tabIndex={-1}>
          <CheckIcon size={16} />
          {text.chat.goesOnHere}
        </p>
      ) : (
        <button
          ref={goOn}
          type="button"
          className="button quiet fit"
          onClick={() => void acts.show(conversation, id)}
        >
          {text.chat.goOnFromThis}
        </button>
      )}
    </div>
  );
}

interface VoteProps {
  order: readonly Id[];
  group: Id;
  secret: boolean;
  vote: Id | null | undefined;
}

function Vote({ order, group, secret, vote }: VoteProps) {
  const text = useText();
  const { conversation } = usePlace();
  const { acts, chats } = useTalk();
  const first = useMessage(conversation, order[0] ?? null);
  const names = order.map((id) => chats.shelf.get(id)?.model ?? "");
  const buttons = useGoOn((gone) => {
    const section = gone.parentElement;
    return () => section?.querySelector(".vote");
  });
  const waits = useAny(conversation, order, isLive) || !first;
  if (vote !== undefined) {
    const winner = names[order.indexOf(vote ?? "")];
    return (
      <p className="small soft vote" role="status" tabIndex={-1}>
        {winner === undefined ? text.chat.votedTie : text.chat.voted(winner)}
      </p>
    );
  }
  if (waits) return <p className="small soft vote">{text.chat.voteLater}</p>;
  const choose = (winner: Id | null) =>
    void acts.vote(conversation, group, winner, { shown: order, blind: secret });
  return (
    <div ref={buttons} className="row vote" role="group" aria-label={text.chat.vote}>
      <span className="small soft">{text.chat.vote}</span>
      {order.map((id, at) => (
        <button key={id} type="button" className="button" onClick={() => choose(id)}>
          {secret ? text.chat.anonymous(LETTERS[at] ?? "") : (names[at] ?? "")}
        </button>
      ))}
      <button type="button" className="button quiet" onClick={() => choose(null)}>
        {text.chat.tie}
      </button>
    </div>
  );
}

/** Whether it is so of any of these; up to four are asked for together. */
function useAny(
  conversation: Id,
  [a, b, c, d]: readonly Id[],
  isSo: (reply: Message) => boolean,
): boolean {
  const all = [
    useMessage(conversation, a ?? null),
    useMessage(conversation, b ?? null),
    useMessage(conversation, c ?? null),
    useMessage(conversation, d ?? null),
  ];
  return all.some((message) => message !== undefined && isSo(message));
}
