import { Component, type ReactNode } from "react";
import { useLocation } from "react-router";

import { failure } from "../api/errors";
import { useText } from "../i18n";
import { Failed } from "../ui/Failed";
import { AwayError } from "./later";

/** Keeps the rail when a page breaks down, and says what happened; another address is tried anew. */
export function ErrorBoundary({ children }: { children: ReactNode }) {
  return <Boundary address={useLocation().pathname}>{children}</Boundary>;
}

interface Props {
  address: string;
  children: ReactNode;
}

interface State {
  error: Error | null;
  address: string;
}

class Boundary extends Component<Props, State> {
  override state: State = { error: null, address: this.props.address };

  static getDerivedStateFromError(error: Error) {
    return { error };
  }

  /** Forgets the error with its address. Not by a `key`: what stands beside the pages would go too. */
  static getDerivedStateFromProps({ address }: Props, held: State): State | null {
    return address === held.address ? null : { error: null, address };
  }

  override render() {
    const { error } = this.state;
    if (error instanceof AwayError) return <Away />;
    return error ? <Crashed detail={error.message} /> : this.props.children;
  }
}

function Away() {
  return (
    <div className="page">
      <div className="column">
        <Failed failure={failure("offline")} onRetry={() => location.reload()} />
      </div>
    </div>
  );
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
