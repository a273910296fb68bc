import { Component, type ReactNode } from "react";
import { useLocation } from "react-router";

import { useText } from "../i18n";

/** Keeps the rail when a page breaks down, and says what happened; another address is tried anew. */
export function ErrorBoundary({ children }: { children: ReactNode }) {
  return <Boundary key={useLocation().pathname}>{children}</Boundary>;
}

class Boundary extends Component<{ children: ReactNode }, { error: Error | null }> {
  override state: { error: Error | null } = { error: null };

  static getDerivedStateFromError(error: Error) {
    return { error };
  }

  override render() {
    const { error } = this.state;
    return error ? <Crashed detail={error.message} /> : this.props.children;
  }
}

function Crashed({ detail }: { detail: string }) {
  const text = useText();
  return (
    <div className="page">
      <div className="column" role="alert">
        <h1>{text.page.crashed}</h1>
        <p>{text.page.crashedWhy}</p>
        <p className="small soft">{detail}</p>
        <button type="button" className="button fit" onClick={() => location.reload()}>
          {text.page.reload}
        </button>
      </div>
    </div>
  );
}
