import { memo, useMemo } from "react";

import { steps } from "../conversation/compare";
import { useGroups, useMessage, useTalk } from "../conversation/context";
import type { Id } from "../conversation/types";
import { Columns } from "./Columns";
import { usePlace } from "./place";
import { ReplyView } from "./ReplyView";
import { Unread } from "./Unread";

interface Props {
  id: Id;
  /** Replies to the same question, oldest first. */
  siblings: readonly Id[];
  /** It ends the branch that is shown. */
  last: boolean;
  height: number;
}

/** A reply, or those that were asked for together with it, side by side. */
export const ReplyRow = memo(function ReplyRow({ id, siblings, last, height }: Props) {
  const { conversation } = usePlace();
  const { acts } = useTalk();
  const reply = useMessage(conversation, id);
  const alone = useMemo(() => [id], [id]);
  const groups = useGroups(conversation, siblings.length > 1 ? siblings : alone);
  const all = useMemo(
    () => (siblings.length > 1 ? steps(siblings, groups) : [alone]),
    [siblings, groups, alone],
  );
  if (!reply) return <Unread height={height} kind="reply" />;
  const at = Math.max(
    0,
    all.findIndex((step) => step.includes(id)),
  );
  const together = all[at] ?? alone;
  const branches = {
    at,
    of: all.length,
    onStep: (to: number) => void acts.show(conversation, all[to]?.[0] ?? id),
  };
  if (together.length > 1 && reply.group !== null)
    return (
      <Columns ids={together} shown={id} group={reply.group} last={last} branches={branches} />
    );
  return <ReplyView reply={reply} last={last} branches={branches} />;
});
