import { useText } from "../i18n";

/** The place of a message that is being read. */
export function Unread({ height, kind }: { height: number; kind: "question" | "reply" }) {
  const text = useText();
  return (
    <div className={`unread ${kind}`} style={{ height: `${Math.min(height, 400)}px` }}>
      <span className="unseen">{text.chat.unread}</span>
    </div>
  );
}
