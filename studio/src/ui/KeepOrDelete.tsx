interface Props {
  keep: string;
  /** Names the thing: what cannot be undone is asked by its name. */
  remove: string;
  pending: boolean;
  onKeep: () => void;
  onRemove: () => void;
}

/** The end of a question before something is deleted for good. */
export function KeepOrDelete({ keep, remove, pending, onKeep, onRemove }: Props) {
  return (
    <div className="row">
      {/* First, so that the dialog begins with what does no harm. */}
      <button type="button" className="button" onClick={onKeep}>
        {keep}
      </button>
      <button
        type="button"
        className="button danger"
        aria-disabled={pending}
        onClick={() => {
          if (!pending) onRemove();
        }}
      >
        {remove}
      </button>
    </div>
  );
}
