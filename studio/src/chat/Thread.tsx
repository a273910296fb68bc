import {
  memo,
  useCallback,
  useLayoutEffect,
  useMemo,
  useSyncExternalStore,
  type ReactNode,
} from "react";

import type { Id, Node, Shown } from "../conversation/types";
import { useText } from "../i18n";
import { QuestionView } from "./QuestionView";
import { ReplyRow } from "./ReplyRow";
import type { Row, Windowing } from "./windowing";

interface Props {
  shown: Shown;
  windowing: Windowing;
  /** What stands below the last message. */
  children: ReactNode;
}

interface MessageRow extends Row {
  id: Id;
  role: "user" | "assistant";
  siblings: readonly Id[];
}

/** The branch that is shown; of a long one, the part near what is seen. */
export function Thread({ shown, windowing, children }: Props) {
  const text = useText();
  const rows = useMemo(() => rowsOf(shown.tree, shown.path), [shown.tree, shown.path]);
  const drawn = useSyncExternalStore(windowing.subscribe, windowing.snapshot);
  useLayoutEffect(() => windowing.setRows(rows), [windowing, rows]);
  // Whatever was drawn may be higher or lower than it was thought to be.
  useLayoutEffect(() => windowing.settle());
  const hold = useCallback(
    (at: HTMLElement | null) => (at ? windowing.hold(at) : undefined),
    [windowing],
  );
  const last = rows.length - 1;
  return (
    <section className="messages" aria-label={text.chat.log}>
      <div style={{ height: `${drawn.before}px` }} />
      {rows.slice(drawn.from, drawn.to).map((row, at) => (
        <div key={row.key} className="line" data-row={row.key} ref={hold}>
          <RowView row={row} last={drawn.from + at === last} />
        </div>
      ))}
      <div style={{ height: `${drawn.after}px` }} />
      {children}
    </section>
  );
}

const RowView = memo(function RowView({ row, last }: { row: MessageRow; last: boolean }) {
  const { id, siblings, height } = row;
  if (row.role === "user") return <QuestionView id={id} siblings={siblings} height={height} />;
  return <ReplyRow id={id} siblings={siblings} last={last} height={height} />;
});

function rowsOf(tree: Shown["tree"], path: readonly Id[]): MessageRow[] {
  const rows: MessageRow[] = [];
  for (const id of path) {
    const node = tree.get(id);
    if (!node) continue;
    rows.push({
      key: rowKey(node),
      id,
      role: node.role,
      siblings: tree.siblings(id),
      height: guess(node.length),
    });
  }
  return rows;
}

/** One row for all that stands at one place: the buttons between them keep the focus. */
export function rowKey({ role, parent }: Node): string {
  return `${role}-${parent ?? ""}`;
}

/** Pixels that so many characters take, about: 60 to a line of 25, and what stands around them. */
function guess(characters: number): number {
  return 96 + Math.ceil(Math.min(characters, 200_000) / 60) * 25;
}
